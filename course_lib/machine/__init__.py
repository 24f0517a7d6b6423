"""What the course runs on: the device, its cores, other processes, the disk.

`device` picks where to compute, `cores` counts what is really free, `ranks` lets several processes
train one model, `disk` writes files whole or not at all.
"""
