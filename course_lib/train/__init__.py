"""Training: one loop, and the losses that run through it (notebooks 03 and 04).

Read `loop` first, then `losses`. Pretraining, SFT, the reward model and RLHF all use this loop;
they differ in what a batch is and in what counts as a loss. `sft` makes batches of conversations,
and `state` keeps a run on the disk, so that it continues where it stopped, to the last bit.
"""
