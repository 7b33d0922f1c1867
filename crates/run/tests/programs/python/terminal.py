"""A shell with job control in a terminal, and a program under the supervisor given as the arguments."""

import fcntl
import os
import pty
import re
import select
import shlex
import struct
import sys
import termios
import time

pid, terminal = pty.fork()
if pid == 0:
    os.environ["PS1"] = "% "
    os.execvp("bash", ["bash", "--norc", "--noediting", "-i"])

seen = ""


def wait_for(pattern):
    """Reads until the terminal shows it, and forgets what was before."""
    global seen
    end = time.monotonic() + 10
    while not (match := re.search(pattern, seen)):
        assert time.monotonic() < end, f"{pattern!r} does not come: {seen!r}"
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 1 << 16).decode(errors="replace")
    seen = seen[match.end() :]
    return match


def enter(line):
    os.write(terminal, line.encode() + b"\n")


run = shlex.join(sys.argv[1:])
ticks = "import time, socket\nwhile True: socket.socket(); print('t' + 'ick', flush=True); time.sleep(0.05)"
wait_for("% ")
enter(f"{run} python3 -c {shlex.quote(ticks)}")
wait_for("tick")
os.write(terminal, b"\x1a")
wait_for("Stopped")
wait_for("% ")
time.sleep(0.3)
enter("echo quiet")
wait_for("quiet[^%]*quiet")
assert "tick" not in seen, "it goes on while it is stopped"
enter("fg")
wait_for("tick")
os.write(terminal, b"\x03")
wait_for("KeyboardInterrupt")
enter("echo status $?")
wait_for("status 130")
# What is typed is the program's, and so is the end of input.
enter(f"{run} sh -c 'echo re\"\"ady; exec cat'")
wait_for("ready")
enter("typed")
wait_for("typed[^%]*typed")
os.write(terminal, b"\x04")
wait_for("% ")
# A new size of the window.
enter(f"{run} bash -c 'trap \"stty size; exit\" WINCH; echo re\"\"ady; while :; do sleep 0.05; done'")
wait_for("ready")
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
wait_for("33 77")
os.close(terminal)
os.waitpid(pid, 0)
