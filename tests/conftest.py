"""One thread per test process: with more, the threads of several processes wait for each other."""

import torch

torch.set_num_threads(1)
