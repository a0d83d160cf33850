"""A recipe -> a trained checkpoint. The distributed engines are accelerate's; the loss is the model's.

run                  all of it in a straight line
recipe               one stage as YAML
old_form             recipes of before `modules:`, refused with the new form
refused_arguments    what Trainer would take and not do
modules              what each module does: trained how, at which rate
lora                 low-rank layers beside those of a module, by exact name
master_weights       float32 copies of weights that are trained in bfloat16
ema                  a running average of the trained weights
module_table         the table of it that is printed first, and the proof that it is true
trainer              transformers' Trainer with our order, optimizer groups and bar
whole_graph          what DDP, ZeRO and FSDP2 want of a batch that does not use every layer
packed_attention     which attention a pack gets
processes            whether several know of each other; who says what went wrong
fully_sharded        FSDP2 by accelerate, set right
sliced_model         a new model that one process puts together and all load in slices
data_fits_model      whether the records can teach what is trained
dry_run              all that can be known before it, and one step; --dry-run
memory_plan          what a GPU holds, engine by engine (meta_step: bytes of a step that is not computed; largest_micro_batch: its shape)
beginning            whether a run begins, goes on, is finished already, or is refused
fingerprint          what makes a run the run it is, compared when it goes on
services             what Trainer asks of other packages and of the hub, asked first
provenance           commit, versions and command, written beside the checkpoint
checkpoints_on_disk, whole_checkpoints  written beside and renamed; torn ones are passed over
room                 on the disk
stopping             SIGTERM and Ctrl-C: a checkpoint is saved, and the run says that it was stopped
finite               losses and weights that are not numbers
throughput           what every logged line says beside the loss
evaluation_loss      the loss on held-out records
samples              answers to some of them, every so many steps (sample_page: as a page)
compare_runs         the curves of runs as a picture
"""
