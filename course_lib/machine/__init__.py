"""What the course runs on: device, cores, other processes, disk.

You can leave this room for the end: nothing here is about language models. `device` picks where to
compute and doesn't trust it blindly, `cores` counts what is really free, `ranks` lets several
processes train one model, `disk` writes a file whole or not at all, `folders` knows where the
course lies.
"""
