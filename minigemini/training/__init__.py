"""A recipe -> a trained checkpoint. The distributed engines are accelerate's; the loss is the model's."""
