# SPDX-License-Identifier: Apache-2.0
"""holmvm: starts `holm run` on a terminal or on pipes and talks with the guest.

Every wait has a limit, scaled by HOLM_TIME_SCALE (sanitizers, slow machines). Standard library only.
HOLM_STANDIN=qemu runs QEMU TCG in Holm's place: for trying out the tests themselves.
"""
import base64
import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time

SCALE = float(os.environ.get("HOLM_TIME_SCALE", "1"))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("HOLM_BUILD", os.path.join(TOP, "build/release"))
HOLM = os.environ.get("HOLM_BIN", os.path.join(BUILD, "src/prog/holm"))
STANDIN = os.environ.get("HOLM_STANDIN", "")
BOOT = 150  # seconds to a prompt, before scaling; the promise (45) has its own test
ENGINE = []  # what machines run with that do not name an engine: set by cases.both
PROMPT = rb"mini:\S* # ?$|mini:[^\n]*# "


class Failed(Exception):
    """A test's verdict."""


class Skipped(Exception):
    """Cannot be tested here; the reason is printed."""


def check(cond, text):
    if not cond:
        raise Failed(text)


def guest(name):
    """The folder of a guest image, built when it is not there."""
    base = os.environ.get("HOLM_GUESTS") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "holm/guests")
    path = os.path.realpath(os.path.join(base, name))
    if os.path.exists(os.path.join(path, "done")):
        return path
    script = os.path.join(TOP, "guests", name + ".sh")
    return subprocess.run([script], check=True, stdout=subprocess.PIPE).stdout.decode().strip()


def b64(command):
    return base64.b64encode(command.encode()).decode()


def standin_args(args):
    """The same machine for QEMU, as far as it goes."""
    out = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-M", "q35", "-display", "none",
           "-serial", "stdio", "-monitor", "none", "-device", "pvpanic", "-nic", "none",
           "-device", "isa-debug-exit,iobase=0x501,iosize=4"]
    args, append, i = list(args), ["console=ttyS0"], 0
    mem = "512M"
    while i < len(args):
        a = args[i]
        if a == "--kernel":
            out += ["-kernel", args[i + 1]]
        elif a == "--initrd":
            out += ["-initrd", args[i + 1]]
        elif a == "--append":
            append.append(args[i + 1])
        elif a == "-c":
            out += ["-smp", args[i + 1]]
        elif a == "-m":
            mem = args[i + 1]
        elif a == "--disk":
            path, *opts = args[i + 1].split(",")
            ro = ",readonly=on" if "ro" in opts else ""
            out += ["-drive", "file=%s,if=virtio,format=raw%s" % (path, ro)]
        elif a == "--no-reboot":
            out.append("-no-reboot")
            i -= 1
        i += 2
    if "-initrd" in out or append != ["console=ttyS0"]:
        out += ["-append", " ".join(append)]
    return out + ["-m", mem]


class Vm:
    """One running `holm run`. Use with `with`: it is gone afterwards."""

    def __init__(self, *args, tty=True, stdin=None, wrap=(), holm=HOLM, env=None, size=(24, 80),
                 extra=()):
        """`wrap` goes before the command, `extra` behind it: words that only this VMM knows."""
        engine = [] if "--engine" in args else ENGINE
        argv = list(wrap) + (standin_args(args) if STANDIN else [holm, "run", *engine, *args])
        argv += list(extra)
        self.output = b""
        self.seen = 0
        self.err = tempfile.TemporaryFile()
        self.started = time.monotonic()
        self.code = None
        self.slave = None
        if tty:
            self.fd, self.slave = pty.openpty()
            fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
            self.modes = termios.tcgetattr(self.slave)
            ends = (self.slave, self.slave)
        else:
            self.fd, out = os.pipe()
            ends = (stdin if stdin is not None else subprocess.DEVNULL, out)
        self.proc = subprocess.Popen(argv, stdin=ends[0], stdout=ends[1], stderr=self.err,
                                     start_new_session=True, env=env,
                                     preexec_fn=self._ctty if tty else None)
        if not tty:
            os.close(ends[1])
        os.set_blocking(self.fd, False)

    @staticmethod
    def _ctty():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        for fd in (self.fd, self.slave):
            if fd is not None:
                with contextlib.suppress(OSError):
                    os.close(fd)
        if exc[0] not in (None, Skipped):
            tail = self.output[-4000:].decode(errors="replace")
            print("--- console (last 4000 bytes)\n%s\n--- stderr\n%s\n---" % (tail, self.stderr()))

    def stderr(self):
        self.err.seek(0)
        return self.err.read().decode(errors="replace")

    def _read(self, timeout):
        """False at the end of output."""
        ready, _, _ = select.select([self.fd], [], [], max(0, timeout))
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError as e:
            if e.errno == errno.EAGAIN:
                return True
            return False
        self.output += data
        return bool(data)

    def expect(self, pattern, timeout=60):
        """Waits for a regular expression after what was already expected; the match."""
        if isinstance(pattern, str):
            pattern = pattern.encode()
        end = time.monotonic() + timeout * SCALE
        while True:
            match = re.search(pattern, self.output[self.seen:])
            if match:
                self.seen += match.end()
                return match
            left = end - time.monotonic()
            if left <= 0:
                raise Failed("no %r within %d s" % (pattern, timeout * SCALE))
            if not self._read(min(left, 0.5)) or (
                    self.proc.poll() is not None and not self._read(0.1) is True):
                match = re.search(pattern, self.output[self.seen:])
                if match:
                    self.seen += match.end()
                    return match
                raise Failed("ended (code %s) before %r" % (self.proc.poll(), pattern))
            if self.proc.poll() is not None and not select.select([self.fd], [], [], 0.2)[0]:
                match = re.search(pattern, self.output[self.seen:])
                if match:
                    self.seen += match.end()
                    return match
                raise Failed("ended (code %s) before %r" % (self.proc.returncode, pattern))

    def send(self, data):
        if isinstance(data, str):
            data = data.encode()
        end = time.monotonic() + 120 * SCALE
        while data:
            try:
                data = data[os.write(self.fd, data):]
            except BlockingIOError:
                if time.monotonic() > end:
                    raise Failed("the console takes no input")
            self._read(0.02)

    def shell(self, command, timeout=60):
        """Runs a command at the mini guest's prompt; (output, exit status)."""
        self.send(command + "; echo X$?X\n")
        match = self.expect(rb"(?s)\n(.*?)X(\d+)X\r*\n", timeout)
        self.expect(PROMPT, timeout)
        return match.group(1).decode(errors="replace").replace("\r", ""), int(match.group(2))

    def wait(self, timeout=60):
        """The exit code; output is read to its end."""
        end = time.monotonic() + timeout * SCALE
        while self.proc.poll() is None:
            if time.monotonic() > end:
                raise Failed("still running after %d s" % (timeout * SCALE))
            self._read(0.2)
        while select.select([self.fd], [], [], 0.1)[0]:
            if not self._read(0):
                break
        self.code = self.proc.returncode
        return self.code

    def signal(self, signum):
        self.proc.send_signal(signum)


def mini_args(*args, append="", run=None):
    folder = guest("mini")
    words = append + (" holm.run=" + b64(run) if run is not None else "")
    out = ["--kernel", folder + "/vmlinuz", "--initrd", folder + "/initrd", *args]
    return out + (["--append", words.strip()] if words.strip() else [])


def mini(*args, append="", run=None, **kw):
    return Vm(*mini_args(*args, append=append, run=run), **kw)


def mini_shell(*args, **kw):
    """A mini guest at its prompt."""
    vm = mini(*args, **kw)
    try:
        vm.expect("Welcome to Holm", BOOT)
        vm.expect(PROMPT, 30)
    except Failed:
        vm.__exit__(Failed, None, None)
        raise
    return vm


def mini_run(command, *args, timeout=BOOT, append="quiet", **kw):
    """Boots mini to run one command; (output, exit status). The guest must power off cleanly."""
    with mini(*args, append=append, run="echo holm-begin;" + command, tty=False, **kw) as vm:
        vm.expect("holm-begin\r*\n", timeout)
        match = vm.expect(rb"(?s)(.*?)holm-exit: (\d+)", timeout)
        check(vm.wait(60) == 0, "exit code %s after power-off" % vm.code)
        return match.group(1).decode(errors="replace").replace("\r", ""), int(match.group(2))


@contextlib.contextmanager
def scratch(name="t"):
    folder = tempfile.mkdtemp(prefix="holm-%s-" % name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def debian_args(folder, *args, kind="debian", append="", run=None, memory="1G"):
    """A Debian guest on a throw-away copy of its root in `folder`."""
    src = guest(kind)
    disk = os.path.join(folder, "root.img")
    if not os.path.exists(disk):
        subprocess.run(["cp", "--reflink=auto", "--sparse=always",
                        os.path.realpath(src + "/root.img"), disk], check=True)
    words = [open(src + "/cmdline").read().strip(), append]
    if run is not None:
        words.append("holm.run=" + b64("echo holm-begin;" + run))
    return ["--kernel", src + "/vmlinuz", "--initrd", src + "/initrd", "--disk", disk,
            "-m", memory, "--append", " ".join(w for w in words if w), *args]


def debian_run(command, *args, timeout=900, **kw):
    with scratch("debian") as folder:
        with Vm(*debian_args(folder, *args, run=command, **kw), tty=False) as vm:
            vm.expect("holm-begin\r*\n", timeout)
            match = vm.expect(rb"(?s)(.*?)holm-exit: (\d+)", timeout)
            check(vm.wait(240) == 0, "exit code %s after power-off" % vm.code)
            return match.group(1).decode(errors="replace").replace("\r", ""), int(match.group(2))
