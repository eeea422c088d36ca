"""Booting the image in QEMU and judging it by its glass: what `image/boot-test` and `image/boot-compare` are made of.

    boot-test, boot-compare --> story   waits with deadlines, stages with times, what to look at after a failure
                            --> project the event server, enroll, flash, displays, push, by the project's own commands
                            --> card    which image; files laid on a card without mounting
                            --> site    the page, and its age read from a picture
                            --> machine QEMU as a Pi 3 --> screen (QMP: pictures), shell (serial line: root inside)

Rejected: a test agent in the image. What goes to the wall would not be what was tested.
"""

import os

# Where Debian keeps debugfs; a user's path lacks it.
os.environ["PATH"] += os.pathsep + "/usr/sbin:/sbin"
