"""Training: the losses and the one loop that pretraining, SFT, reward model and RLHF run through.

Read `loop` first, then `losses`. `sft` makes batches of conversations; `state` keeps a run on disk
so that it continues where it stopped.
"""
