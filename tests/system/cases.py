# SPDX-License-Identifier: Apache-2.0
"""The system tests: each a function, registered with its label (core, full) and time limit."""
import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import time

import holmvm
import tiny
from holmvm import (BOOT, HOLM, PROMPT, SCALE, Failed, Skipped, Vm, check, debian_args, debian_run,
                    guest, mini, mini_args, mini_run, mini_shell, scratch)

CASES = {}


def case(label, limit=300):
    def add(fn):
        CASES[fn.__name__] = (fn, label, limit)
        return fn
    return add


MODE = os.environ.get("HOLM_MODE", "plain")  # what of plain, asan and ubsan Holm is built for
PLAIN = MODE == "plain"
INTERPRETED = ["--engine", "soft,translate=off"]
TRANSLATED = ["--engine", "soft,translate=on"]


def both(label, limit=300, translated=None, slow=False):
    """Two tests: NAME interpreted, and NAME_translated, with a label of its own if need be. slow:
    interpreted with a sanitizer it takes a quarter of an hour, and others do the same in less."""
    def add(fn):
        def on(engine):
            def run():
                if slow and engine == INTERPRETED:
                    need_plain("slow with a sanitizer; %s_translated runs" % fn.__name__)
                holmvm.ENGINE = engine
                fn()
            return run
        CASES[fn.__name__] = (on(INTERPRETED), label, limit)
        CASES[fn.__name__ + "_translated"] = (on(TRANSLATED), translated or label, limit)
        return fn
    return add


def need_plain(why):
    """Only where Holm is not slowed by a sanitizer."""
    if not PLAIN:
        raise Skipped(why)


def need_root():
    if os.getuid():
        raise Skipped("needs root")


def tool(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    check(path, "%s is missing: tools/deps.sh test" % name)
    return path


# --- boots ----------------------------------------------------------------------------------------

def boot(cpus, *args, **kw):
    out, code = mini_run("nproc; free -m | awk '/Mem:/ {print $2}'; id -u", "-c", str(cpus), *args,
                         **kw)
    check(code == 0 and out.split()[0] == str(cpus), "nproc says %r, want %d" % (out, cpus))
    return out


@both("core")
def mini_1cpu():
    boot(1)


@both("core")
def mini_4cpus():
    boot(4)


@both("full")
def mini_2cpus():
    boot(2)


@both("full", 600)
def mini_4cpus_on_one():
    boot(4, wrap=["taskset", "-c", "0"], timeout=BOOT * 3)


@case("full")
def mini_6g():
    out = boot(1, "-m", "6G")
    check(int(out.split()[1]) > 5600, "the guest sees %s MiB" % out.split()[1])


@case("full", 900)
def mini_sizes():
    """Little, odd and more than 4 GiB: within 64 MiB (the kernel's own) of what was asked for."""
    for text, mib in (("96M", 96), ("130M", 130), ("1000M", 1000), ("3G", 3072), ("12G", 12288)):
        if mib > 4096 and mib << 20 > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
            print("%s: more than this host has" % text)
            continue
        out = boot(1, "-m", text)
        seen = int(out.split()[1])
        print(text, seen, flush=True)
        check(mib - 64 - mib // 32 <= seen < mib, "-m %s: the guest sees %d MiB" % (text, seen))


@case("full", 900)
def mini_many_cpus():
    """Many more than the host has: no stall, no lock-up."""
    for cpus in (8, 32):
        out, _ = mini_run("nproc; dmesg | grep -ciE 'stall|lockup|hung'", "-c", str(cpus), "-m",
                          "1G", timeout=2 * BOOT)
        check(out.split() == [str(cpus), "0"], "%d CPUs: %r" % (cpus, out))


@both("full")
def mini_cpu_v3():
    out, _ = mini_run("grep -c avx2 /proc/cpuinfo", "--cpu", "v3-1")
    check(int(out) == 1, "no avx2 in v3-1")


@case("core")
def mini_prompt_time():
    """The promise: a prompt in under 45 s, interpreted."""
    start = time.monotonic()
    with mini_shell(*INTERPRETED, append="quiet") as vm:
        took = time.monotonic() - start
        print("prompt after %.1f s" % took)
        vm.send("poweroff\n")
        check(vm.wait(60) == 0, "exit code %s" % vm.code)
    if PLAIN:
        check(took < 45 * max(SCALE, 1), "prompt after %.1f s" % took)


def unprivileged_files(folder):
    os.chmod(folder, 0o755)
    src = guest("mini")
    for f in ("vmlinuz", "initrd"):
        shutil.copy(os.path.join(src, f), folder)
        os.chmod(os.path.join(folder, f), 0o644)
    shutil.copy(HOLM, folder + "/holm")
    shutil.copy(os.path.join(holmvm.BUILD, "tests/system/deny"), folder + "/deny")
    return ["--kernel", folder + "/vmlinuz", "--initrd", folder + "/initrd"]


@case("full")
def unprivileged():
    """Any user, without io_uring, user namespaces and executable memfds."""
    with scratch("user") as folder:
        args = unprivileged_files(folder)
        disk = folder + "/disk"
        with open(disk, "wb") as f:
            f.truncate(8 << 20)
        os.chmod(disk, 0o666)
        run = ("dd if=/dev/zero bs=1M count=4 2>/dev/null | tr '\\0' x | dd of=/dev/vda bs=1M"
               " 2>/dev/null && sync")
        words = args + ["--disk", disk, "--append", "quiet holm.run=" + holmvm.b64(run)]
        with Vm(*words, "--json", tty=False, holm=folder + "/holm",
                wrap=[folder + "/deny", "65534"]) as vm:
            vm.expect("holm-exit: 0", BOOT)
            check(vm.wait(60) == 0, "exit code %s" % vm.code)
            said = json.loads(vm.stderr())
            check(said["translate_refusal"] == "translator-no-exec-memory", said)
        with open(disk, "rb") as f:
            check(f.read(4 << 20) == b"x" * (4 << 20), "the disk has other bytes")


# --- life -----------------------------------------------------------------------------------------

@case("full", 1500)
def reboot_10_times():
    with scratch("reboot") as folder:
        disk = folder + "/count"
        with open(disk, "wb") as f:
            f.truncate(1 << 20)
        run = ("n=$(tr -d '\\0' </dev/vda | head -c 8); n=$((n + 1)); echo boot-$n;"
               "printf %s $n >/dev/vda; sync; [ $n -gt 10 ] || { reboot -f; sleep 60; }")
        with mini("--disk", disk, append="quiet", run=run, tty=False) as vm:
            for n in range(1, 12):
                vm.expect("boot-%d\\r*\\n" % n, BOOT)
            check(vm.wait(60) == 0, "exit code %s" % vm.code)


@case("core")
def exit_reboot():
    with mini("--no-reboot", append="quiet", run="reboot -f; sleep 60", tty=False) as vm:
        check(vm.wait(BOOT) == 10, "exit code %s, want 10" % vm.code)


@both("core")
def exit_panic():
    with mini(append="quiet", run="echo c >/proc/sysrq-trigger; sleep 60", tty=False) as vm:
        check(vm.wait(BOOT) == 11, "exit code %s, want 11" % vm.code)


@case("full")
def exit_triple_fault():
    with mini(append="quiet reboot=triple", run="reboot -f; sleep 60", tty=False) as vm:
        check(vm.wait(BOOT) == 12, "exit code %s, want 12" % vm.code)


@case("full", 600)
def sigterm():
    """SIGTERM in each phase; the second one always ends."""
    for phase, wait_for in (("before boot", None), ("kernel", rb"Linux version|Command line"),
                            ("shell", PROMPT), ("power-off", rb"power-off-begins")):
        with mini(tty=True) as vm:
            if wait_for:
                if phase == "power-off":
                    vm.expect(PROMPT, BOOT)
                    vm.send("echo power-off-begins; poweroff\n")
                vm.expect(wait_for, BOOT)
            vm.signal(signal.SIGTERM)
            print(phase)
            if phase in ("shell", "power-off"):
                check(vm.wait(60) == 0, "%s: exit code %s after one SIGTERM" % (phase, vm.code))
            else:
                time.sleep(0.5)
                vm.signal(signal.SIGTERM)
                check(vm.wait(10) in (0, 4, -signal.SIGTERM), "%s: exit code %s" %
                      (phase, vm.code))


@case("core", 120)
def exit_codes():
    """Each way to end, by guests of a few instructions."""
    rows = (([tiny.say("hello"), tiny.poweroff()], (), 0, b"hello"),
            ([tiny.reset()], ["--no-reboot"], 10, b""),
            ([tiny.reset()], (), 12, b""),
            ([tiny.triple_fault()], (), 12, b""),
            ([tiny.panic()], (), 11, b""),
            ([tiny.debug_exit(5)], (), 69, b""),
            ([tiny.debug_exit(255)], (), 95, b""))
    with scratch("tiny") as d:
        for parts, flags, code, said in rows:
            kernel = tiny.write(d + "/k", *parts)
            out = subprocess.run([HOLM, "run", "--kernel", kernel, "-m", "32M", *flags],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, timeout=20 * SCALE)
            check((out.returncode, out.stdout) == (code, said), "%s: %s, want %d" %
                  (parts, out, code))
            check(out.stderr.count(b"\n") == (code == 12), "on stderr: %r" % out.stderr)


# --- console --------------------------------------------------------------------------------------

def tiny_vm(folder, *parts, **kw):
    vm = Vm("--kernel", tiny.write(folder + "/k", tiny.say("up\n"), *parts), "-m", "32M", **kw)
    vm.expect("up", 20)
    return vm


@case("core", 120)
def terminal_restored():
    """On every way out; and whatever signal ends it, the code is a documented one."""
    import termios
    rows = [("", 4), ("TERM", 4), ("HUP", 4), ("QUIT", 4), ("INT", 4)]
    rows += [(s, 3) for s in ("SEGV", "ABRT", "BUS", "TRAP", "SYS", "USR1", "ALRM", "XCPU", "RTMIN")]
    if not PLAIN:  # crashes are the sanitizer's to report
        rows = [r for r in rows if r[0] not in ("SEGV", "BUS", "TRAP")]
    with scratch("tty") as d:
        for name, code in rows:
            with tiny_vm(d, tiny.stop()) as vm:
                check(termios.tcgetattr(vm.slave) != vm.modes, "not in raw mode")
                if not name:
                    vm.send(b"x" * 3000)  # a guest that takes nothing
                    time.sleep(0.3)
                    vm.send(b"\x1dq")
                else:
                    for _ in range(1 if code == 3 else 2):
                        vm.signal(getattr(signal, "SIG" + name))
                        time.sleep(0.2)
                check(vm.wait(10) == code, "%s: exit code %s" % (name or "Ctrl-] q", vm.code))
                check(termios.tcgetattr(vm.slave) == vm.modes, "%s: modes not restored" % name)


# A job-control shell in small: the job in its own group, in front; what it says goes to stdout.
JOB_SHELL = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if not job:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
print("job", job, flush=True)
os.waitpid(job, os.WUNTRACED)
print("stopped", flush=True)
sys.exit(os.WEXITSTATUS(os.waitpid(job, 0)[1]))
"""


@case("core", 120)
def terminal_jobs():
    """SIGTSTP gives the terminal back, SIGCONT takes it; a background job gets it with `fg`."""
    import termios
    with scratch("jobs") as d:
        with tiny_vm(d, tiny.echo(), wrap=["/usr/bin/python3", "-c", JOB_SHELL]) as vm:
            job = int(re.search(rb"job (\d+)", vm.output).group(1))
            os.kill(job, signal.SIGTSTP)
            vm.expect("stopped", 10)
            check(termios.tcgetattr(vm.slave) == vm.modes, "stopped in raw mode")
            os.kill(job, signal.SIGCONT)
            time.sleep(0.5)
            vm.send("back")
            vm.expect("back", 10)
            vm.send(b"\x1dq")
            check(vm.wait(10) == 4, "exit code %s" % vm.code)
    with scratch("jobs") as d:
        line = "%s run -m 32M --kernel %s &\n" % (HOLM, tiny.write(d + "/k", tiny.say("up\n"),
                                                                  tiny.echo()))
        with Vm(wrap=["sh", "-c", "exec bash --norc -i"]) as vm:
            vm.send(line)
            vm.expect(r"up\r\n", 20)
            vm.send("fg\n")
            time.sleep(1)
            vm.send("typed")
            vm.expect("typed", 10)
            vm.send("\x1dq")
            time.sleep(0.5)
            vm.send("echo code-$?\n")
            vm.expect(r"code-4\r\n", 10)


@case("core", 120)
def nohup_is_respected():
    with scratch("nohup") as d:
        kernel = tiny.write(d + "/k", tiny.say("up\n"), tiny.stop())
        with Vm("--kernel", kernel, "-m", "32M", tty=False, wrap=["nohup"]) as vm:
            vm.expect("up", 20)
            for signum in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
                vm.signal(signum)
                time.sleep(0.2)
            check(vm.proc.poll() is None, "ended with %s" % vm.proc.poll())
            vm.signal(signal.SIGTERM)
            check(vm.wait(10) == 4, "exit code %s" % vm.code)


@case("core", 120)
def console_socket():
    """One client at a time, reconnects, and the socket is gone even after SIGKILL."""
    import socket
    with scratch("sock") as d:
        path = d + "/s"

        def client():
            out = socket.socket(socket.AF_UNIX)
            out.settimeout(10)
            out.connect(path)
            return out

        kernel = tiny.write(d + "/k", tiny.say("up\n"), tiny.echo())
        with Vm("--kernel", kernel, "-m", "32M", "--console", "unix:" + path, tty=False) as vm:
            while not os.path.exists(path):
                time.sleep(0.05)
            check(os.stat(path).st_mode & 0o777 == 0o600, "mode %o" % os.stat(path).st_mode)
            first = client()
            check(first.recv(3) == b"up\n", "what was said before the client came is lost")
            second = client()
            check(b"in use" in second.recv(100) and not second.recv(1), "a second client stays")
            for turn in (b"a", b"\x1d", b"q"):
                first.close()
                time.sleep(0.2)
                first = client()
                first.send(turn)
                check(first.recv(1) == turn, "no echo of %r" % turn)
            vm.signal(signal.SIGKILL)
            vm.wait(10)
            for _ in range(50):
                if not os.path.exists(path):
                    break
                time.sleep(0.1)
            check(not os.path.exists(path), "the socket is still there")

@case("core")
def console_keys():
    """Ctrl-C reaches the guest, Ctrl-] is Holm's, the terminal is restored."""
    import termios
    with mini_shell(append="quiet") as vm:
        vm.send("sleep 1000\n")
        time.sleep(2 * SCALE)
        vm.send(b"\x03")
        vm.expect(PROMPT, 20)
        _, code = vm.shell("(exit $?)")
        vm.send(b"cat -v\n")
        vm.expect("cat -v", 20)
        vm.send(b"\x1d\x1d\n\x04")
        vm.expect(rb"\^\]", 20)
        vm.send(b"\x1dq")
        check(vm.wait(20) == 4, "Ctrl-] q: exit code %s, want 4" % vm.code)
        check(termios.tcgetattr(vm.slave) == vm.modes, "the terminal's modes were not restored")


@case("core")
def console_paste():
    text = b"".join(b"%063d\n" % i for i in range(1024))
    with mini_shell(append="quiet") as vm:
        vm.send("stty raw -echo; echo ready; head -c 65536 | sha256sum; stty sane\n")
        vm.expect("\nready", 20)
        time.sleep(1)
        vm.send(text)
        match = vm.expect(rb"([0-9a-f]{64})", 120)
        check(match.group(1).decode() == hashlib.sha256(text).hexdigest(), "bytes were lost")
        vm.send("\npoweroff\n")
        check(vm.wait(60) == 0, "exit code %s" % vm.code)


@case("full", 600)
def console_stdin():
    """No input neither ends nor stalls the guest; stdout has guest bytes only."""
    for stdin in ("null", "closed"):
        argv = [HOLM, "run", *mini_args(append="quiet", run="sleep 1; echo done-here")]
        if stdin == "closed":
            argv = ["sh", "-c", 'exec "$@" <&-', "sh", *argv]
        out = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, timeout=BOOT * SCALE)
        check(out.returncode == 0, "%s: exit code %d" % (stdin, out.returncode))
        check(b"done-here" in out.stdout, "%s: no output" % stdin)
        check(b"holm:" not in out.stdout, "%s: Holm's words on stdout" % stdin)
        check(out.stderr == b"", "%s: not silent: %r" % (stdin, out.stderr))


@case("full")
def virtio_console():
    run = ("sleep 1; stty size </dev/hvc0; echo to-virtio >/dev/hvc0")
    with mini("--console-device", "virtio", run=run, size=(37, 91)) as vm:
        vm.expect("37 91", BOOT)
        vm.expect("to-virtio", 30)
        check(vm.wait(60) == 0, "exit code %s" % vm.code)


# --- bad input ------------------------------------------------------------------------------------

def refused(args, code, words, files=()):
    before = [open(f, "rb").read() for f in files]
    out = subprocess.run([HOLM, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, timeout=30 * SCALE)
    text = out.stderr.decode(errors="replace")
    check(out.returncode == code, "%s: exit code %d, want %d: %s" %
          (" ".join(args)[-90:], out.returncode, code, text))
    check(text.count("\n") == 1, "%s: not one line: %r" % (" ".join(args)[-90:], text))
    check(re.search(words, text), "%s: %r does not name %r" % (" ".join(args)[-90:], text, words))
    check(out.stdout == b"", "something on stdout")
    check(before == [open(f, "rb").read() for f in files], "a file was changed")


@case("core")
def bad_input():
    src = guest("mini")
    kernel, initrd = src + "/vmlinuz", src + "/initrd"
    with scratch("bad") as d:
        def file(name, data):
            with open(os.path.join(d, name), "wb") as f:
                f.write(data)
            return os.path.join(d, name)

        data = open(kernel, "rb").read()
        short = file("short", data[:20000])
        empty = file("empty", b"")
        text = file("text", b"hello world\n" * 1000)
        disk = file("disk", b"\0" * (1 << 20))
        big = os.path.join(d, "big")
        with open(big, "wb") as f:
            f.truncate(900 << 20)
        qcow = file("q", b"QFI\xfb" + bytes(196612))  # not a multiple of 512
        new = os.path.join(d, "new")
        yaml3 = file("vm3.yaml", ("kernel: %s\n" % kernel).encode())
        yaml = file("vm.yaml", b"kernel: [\n")
        yaml2 = file("vm2.yaml", ("kernel: %s\nnonsense: 3\n" % kernel).encode())
        for args, words in (
                (["run"], "kernel"),
                (["run", "--kernel", d + "/none"], "none"),
                (["run", "--kernel", short], "short|truncated|kernel"),
                (["run", "--kernel", empty], "empty"),
                (["run", "--kernel", text], "kernel|image|format"),
                (["run", "--kernel", d], "director|kernel"),
                (["run", "--kernel", kernel, "--initrd", d + "/none"], "none"),
                (["run", "--kernel", kernel, "--initrd", big], "initrd|memory"),
                (["run", "--kernel", kernel, "--disk", d + "/none"], "none"),
                (["run", "--kernel", kernel, "-c", "0"], "-c"),
                (["run", "--kernel", kernel, "-c", "100000"], "-c"),
                (["run", "--kernel", kernel, "-c", "two"], "two"),
                (["run", "--kernel", kernel, "-m", "0"], "-m"),
                (["run", "--kernel", kernel, "-m", "1K"], "-m"),
                (["run", "--kernel", kernel, "-m", "99999T"], "-m"),
                (["run", "--kernel", kernel, "-m", "lots"], "lots"),
                (["run", "--kernel", kernel, "--cpu", "z80"], "z80"),
                (["run", "--kernel", kernel, "--engine", "steam"], "steam"),
                (["run", "--nonsense"], "nonsense"),
                (["run", "-f", yaml], "vm.yaml"),
                (["run", "-f", yaml2], "nonsense"),
                (["run", "-f", d + "/none.yaml"], "none"),
                (["run", "--kernel", "/bin/ls"], "PVH"),
                (["run", "--kernel", kernel, "--initrd", big, "-m", "950M"], "initrd"),
                (["run", "--kernel", kernel, "--disk", disk + ",rw"], "may follow"),
                (["run", "--kernel", kernel, "--disk", disk, "--disk", disk], "twice"),
                (["run", "--kernel", kernel, "--disk", qcow], "qcow2"),
                (["run", "--kernel", kernel, "--engine", "soft,fast"], "fast"),
                (["run", "--kernel", kernel, "--disk", disk, "--console", disk], "console"),
                (["run", "--kernel", kernel, "--disk", disk, "--json=" + disk], "json"),
                (["run", "--kernel", kernel, "--console", new, "--json=" + new], "json"),
                (["run", "--kernel", kernel, "--console", new, "--engine", "soft,x"], "soft"),
                (["run", "--kernel", kernel, "--json=" + new, "--disk", d + "/none"], "none"),
                (["run", "-f", yaml3, "--console", yaml3], "vm3"),
                (["run", "--kernel", kernel, "--log", "everything"], "translate=ADDR"),
                (["run", "--kernel", kernel, "--log", "translate"], "translate=ADDR"),
                (["run", "--kernel", kernel, "--log", "translate="], "hexadecimal"),
                (["run", "--kernel", kernel, "--log", "translate=main"], "hexadecimal"),
                (["run", "--kernel", kernel, "--log", "translate=1-"], "hexadecimal"),
                (["run", "--kernel", kernel, "--log", "translate=12345678901234567"], "hexadec"),
                (["run", "--kernel", kernel, "--log", "translate=2-1"], "below"),
                (["run", "--kernel", kernel, "--log", "translate=1,"], "empty"),
                (["run", "--kernel", kernel, "--log=translate=1", "--log=translate=2"], "twice"),
                (["run", "--kernel", kernel, "--log", "translate=1," + new, *INTERPRETED],
                 "translate=off"),
                (["run", "--kernel", kernel, "--log", "translate=1,%s/none/f" % d], "none/f"),
                (["run", "--kernel", kernel, "--disk", disk, "--log", "translate=1," + disk], "log"),
                (["run", "-f", yaml3, "--log", "translate=1," + yaml3], "vm3"),
                (["run", "-f", yaml3, "--json=" + yaml3], "vm3"),
                (["walk"], "walk")):
            refused(args, 2, words, files=[disk, yaml3])
            check(not os.path.exists(new), "%s: left a file behind" % args)
        os.chmod(disk, 0o444)
        if os.getuid():
            refused(["run", "--kernel", kernel, "--disk", disk], 3, "disk")


@case("core", 120)
def limits_are_named():
    """-m above the control group's limit, at whatever depth, and what doctor says of the host."""
    need_root()
    probe = subprocess.run(["unshare", "-m", "true"], stderr=subprocess.PIPE)
    if probe.returncode:  # in a chroot whose root is no mount point
        raise Skipped(probe.stderr.decode().strip())
    with scratch("limits") as d:
        kernel = tiny.write(d + "/k", tiny.poweroff())
        group = "/a.slice/" + "b" * 200 + "/c"
        os.makedirs(d + "/fs" + group)
        for path, text in (("/fs/a.slice/memory.max", "1073741824"), ("/group", "0::" + group),
                           ("/fs" + group + "/memory.max", "268435456")):
            with open(d + path, "w") as f:
                f.write(text + "\n")
        inside = "mount --bind %s/fs /sys/fs/cgroup && mount --bind %s/group /proc/$$/cgroup &&" \
            ' exec "$@"' % (d, d)

        def run(*argv, setup=inside):
            return subprocess.run(["unshare", "-m", "sh", "-c", setup, "sh", HOLM, *argv],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=30 * SCALE)

        for size, words in (("512M", ["256 MiB", group + "/memory.max"]), ("256M", [])):
            out = run("run", "--kernel", kernel, "-m", size)
            text = out.stderr.decode()
            check(out.returncode == 0 and text.count("\n") == len(words) // 2, "%s: %s" %
                  (size, out))
            check(all(w in text for w in words), "%s: %r does not name %s" % (size, text, words))
        said = json.loads(run("doctor", "--json").stdout)["limits"]
        check(said["memory_limit_bytes"] == 256 << 20, said)
        out = run("doctor", "--json", setup='umount -l /proc; exec "$@"')
        check(json.loads(out.stdout)["limits"]["memory_bytes"] > 1 << 28, "no memory without /proc")


@case("core", 120)
def doctor_denied():
    """doctor says what a run would meet."""
    deny = os.path.join(holmvm.BUILD, "tests/system/deny")
    with scratch("doctor") as d:
        os.chmod(d, 0o755)
        for f in (HOLM, deny):
            shutil.copy(f, d)
        out = subprocess.run([d + "/deny", "65534", d + "/holm", "doctor", "--json"],
                             stdout=subprocess.PIPE, timeout=30 * SCALE)
        said = json.loads(out.stdout)
        check(said["limits"]["io_uring"] is False, "io_uring: %s" % said["limits"])
        check(said["jail"]["refusal"] == "", "jail: %s" % said["jail"])
    for verb in (["help"], ["version"], ["doctor"], ["run", "--help"], ["version", "--json"]):
        with open("/dev/full", "wb") as full:
            out = subprocess.run([HOLM, *verb], stdout=full, stderr=subprocess.PIPE)
        check(out.returncode == 3 and b"stdout" in out.stderr + b"stdout" * ("--json" in verb),
              "%s on a full disk: %s" % (verb, out))


# --- disks ----------------------------------------------------------------------------------------

def disk_io(folder, wrap=(), holm=HOLM, kernel_args=None):
    disk = folder + "/disk"
    pattern = os.urandom(1 << 20) * 8
    with open(disk, "wb") as f:
        f.write(pattern)
        f.truncate(64 << 20)
    os.chmod(disk, 0o666)
    run = ("dd if=/dev/vda bs=1M count=8 2>/dev/null | sha256sum;"
           "dd if=/dev/urandom of=/tmp/r bs=1M count=16 2>/dev/null; sha256sum </tmp/r;"
           "dd if=/tmp/r of=/dev/vda bs=64k seek=128 2>/dev/null; sync;"
           "echo 3 >/proc/sys/vm/drop_caches;"
           "dd if=/dev/vda bs=64k skip=128 count=256 2>/dev/null | sha256sum;"
           "mke2fs -q /dev/vdb 2>/dev/null; echo ro $(cat /sys/block/vda/ro /sys/block/vdb/ro)")
    ro = folder + "/ro"
    with open(ro, "wb") as f:
        f.truncate(1 << 20)
    args = (kernel_args or mini_args()) + ["--disk", disk, "--disk", ro + ",ro", "--append",
                                           "quiet holm.run=" + holmvm.b64("echo holm-begin;" + run)]
    with Vm(*args, tty=False, wrap=wrap, holm=holm) as vm:
        match = vm.expect(rb"(?s)holm-begin\r*\n(.*?)holm-exit", BOOT)
        check(vm.wait(60) == 0, "exit code %s" % vm.code)
    words = re.findall(rb"[0-9a-f]{64}|ro . .", match.group(1))
    words = [w.decode() for w in words]
    with open(disk, "rb") as f:
        first = hashlib.sha256(f.read(8 << 20)).hexdigest()
        second = hashlib.sha256(f.read(16 << 20)).hexdigest()
    check(words[0] == hashlib.sha256(pattern).hexdigest() == first, "read other bytes")
    check(words[1] == words[2] == second, "wrote other bytes: %s %s" % (words, second))
    check(words[3:] == ["ro 0 1"], "read-only flags %s" % words[3:])


@both("core")
def disk_uring():
    with scratch("disk") as folder:
        disk_io(folder)


@case("full")
def disk_threads():
    with scratch("disk") as folder:
        args = unprivileged_files(folder)
        disk_io(folder, wrap=[folder + "/deny", "65534"], holm=folder + "/holm", kernel_args=args)


@both("full", 900)
def disk_interrupts():
    """The disk without messages, without an IOAPIC, without ACPI: interrupts still arrive."""
    run = ("dd if=/dev/vda bs=64k count=64 2>/dev/null | sha256sum;"
           "dd if=/dev/zero of=/dev/vda bs=4k count=64 2>/dev/null; sync; cat /proc/interrupts")
    data = os.urandom(4 << 20)
    for append, chip in (("pci=nomsi", "IO-APIC"), ("noapic pci=nomsi", "XT-PIC"),
                         ("nolapic pci=nomsi", "XT-PIC"), ("acpi=off pci=nomsi", "XT-PIC")):
        with scratch("intx") as folder:
            with open(folder + "/disk", "wb") as f:
                f.write(data)
            # without ACPI the guest has no way to switch itself off: what it said is enough
            with mini("--disk", folder + "/disk", append="quiet " + append,
                      run="echo holm-begin;" + run, tty=False) as vm:
                match = vm.expect(rb"(?s)holm-begin\r*\n(.*?)holm-exit", BOOT)
            said = match.group(1).decode(errors="replace")
            check(hashlib.sha256(data).hexdigest() in said, "%s: read other bytes" % append)
            check(re.search(r"\b[1-9][0-9]*\s.*%s.*virtio2" % chip, said),
                  "%s: no %s interrupt of the disk: %s" % (append, chip, said))


@case("full")
def disk_locks():
    qemu_io = tool("qemu-io")
    with scratch("lock") as folder:
        disk = folder + "/disk"
        with open(disk, "wb") as f:
            f.truncate(4 << 20)
        with mini_shell("--disk", disk, append="quiet") as vm:
            out = subprocess.run([qemu_io, "-f", "raw", "-c", "write 0 512", disk],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            check(b"lock" in out.stdout, "qemu-io writes to a disk in use: %r" % out.stdout)
            refused(["run", *mini_args("--disk", disk)], 3, "in use")
            vm.send("poweroff\n")
            check(vm.wait(60) == 0, "exit code %s" % vm.code)
        other = subprocess.Popen([qemu_io, "-f", "raw", disk], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        try:
            other.stdin.write(b"read 0 512\n")
            other.stdin.flush()
            other.stdout.readline()
            refused(["run", *mini_args("--disk", disk)], 3, "in use")
        finally:
            other.stdin.close()
            other.wait()


@case("full", 120)
def disk_mounted():
    """A device that the host has mounted is refused, and the other way round."""
    need_root()
    losetup, mkfs = tool("losetup"), tool("mkfs.ext4")
    with scratch("mount") as d:
        kernel = tiny.write(d + "/k", tiny.say("up\n"), tiny.stop())
        with open(d + "/image", "wb") as f:
            f.truncate(16 << 20)
        subprocess.run([mkfs, "-q", d + "/image"], check=True)
        os.mkdir(d + "/mnt")
        out = subprocess.run([losetup, "-f", "--show", d + "/image"], stdout=subprocess.PIPE)
        if out.returncode:
            raise Skipped("no loop devices here")
        device = out.stdout.decode().strip()
        mount = ["mount", device, d + "/mnt"]
        try:
            subprocess.run(mount, check=True)
            refused(["run", "--kernel", kernel, "--disk", device], 3, "mounted")
            subprocess.run(["umount", d + "/mnt"], check=True)
            with Vm("--kernel", kernel, "-m", "32M", "--disk", device, tty=False) as vm:
                vm.expect("up", 20)
                check(subprocess.run(mount, stderr=subprocess.DEVNULL).returncode,
                      "the host mounts a guest's disk")
        finally:
            subprocess.run(["umount", "-q", d + "/mnt"])
            subprocess.run([losetup, "-d", device])


# --- what the guest's kernel says -----------------------------------------------------------------

def allowed_warnings():
    path = os.path.join(holmvm.TOP, "docs/guest-warnings.md")
    with open(path, encoding="utf-8") as f:
        return [re.compile(m) for m in re.findall(r"^- `(.*?)`", f.read(), re.M)]


def check_dmesg(raw):
    bad, new = [], []
    allow = allowed_warnings()
    for line in raw.splitlines():
        match = re.match(r"<(\d+)>\[ *[\d.]+\] ?(.*)", line)
        if not match:
            continue
        level, text = int(match.group(1)) & 7, match.group(2)
        if level <= 3:
            bad.append(text)
        elif level == 4 and not any(a.search(text) for a in allow):
            new.append(text)
    check(not bad, "errors in dmesg:\n  " + "\n  ".join(bad))
    check(not new, "warnings not in docs/guest-warnings.md:\n  " + "\n  ".join(new))


@both("core")
def dmesg_cloud():
    out, _ = mini_run("dmesg -r")
    check(out.count("\n") > 50, "no dmesg")
    check_dmesg(out)


@case("full", 600)
def dmesg_models():
    for model in ("v2-1", "v3-1", "host"):
        print(model, flush=True)
        out, _ = mini_run("dmesg -r", "--cpu", model)
        check(out.count("\n") > 50, "no dmesg")
        check_dmesg(out)


@both("full", 1800, slow=True)
def dmesg_generic():
    out, _ = debian_run("dmesg -r")
    check(out.count("\n") > 50, "no dmesg")
    check_dmesg(out)


# --- the benchmark --------------------------------------------------------------------------------

@both("full", 600)
def bench_agrees():
    """What `make bench` runs computes the same in a guest as on the host: no row is lacking."""
    def checks(text):
        bad = re.findall(r"^(?:failed|differs) .*", text, re.M)
        check(not bad, "bench says %s" % bad)
        return dict(re.findall(r"^bench (\w+) \d+ \d+ (\w+)", text, re.M))

    host = subprocess.run([guest("mini") + "/native/bench", "-t", "1"], stdout=subprocess.PIPE,
                          check=True).stdout.decode()
    out, code = mini_run("bench -t 1", "-c", "2", "--cpu", "host")
    check(code == 0 and len(checks(host)) > 30, "bench does not run:\n%s%s" % (host, out))
    check(checks(host) == checks(out), "the host:\n%s\nthe guest:\n%s" % (host, out))


# --- kernels --------------------------------------------------------------------------------------

def other_mini(package):
    """A mini guest with another kernel: its folder."""
    script = os.path.join(holmvm.TOP, "guests/mini.sh")
    return subprocess.run([script], check=True, stdout=subprocess.PIPE,
                          env={**os.environ, "HOLM_MINI_KERNEL": package}).stdout.decode().strip()


def other_run(package, command, *args, timeout=2 * BOOT):
    """Boots it to run one command; the output. Its power-off must be clean."""
    folder = other_mini(package)
    words = "quiet holm.run=" + holmvm.b64("echo holm-begin;" + command)
    with Vm("--kernel", folder + "/vmlinuz", "--initrd", folder + "/initrd", *args, "--append",
            words, tty=False) as vm:
        match = vm.expect(rb"(?s)holm-begin\r*\n(.*?)holm-exit: (\d+)", timeout)
        check(vm.wait(60) == 0, "exit code %s after power-off" % vm.code)
        check(match.group(2) == b"0", "status %s" % match.group(2))
        return match.group(1).decode(errors="replace").replace("\r", "")


def other_kernel(package, machine, suffix, *args):
    """Each kernel comes up with 1, 2 and 4 CPUs and reads back what it wrote to a disk; with 2 only
    where a sanitizer makes every boot last minutes."""
    run = ("nproc; uname -mr; head -c 1048576 /dev/urandom >/tmp/r;"
           "dd if=/tmp/r of=/dev/vda bs=64k 2>/dev/null; sync; echo 3 >/proc/sys/vm/drop_caches;"
           "head -c 1048576 /dev/vda | cmp - /tmp/r && echo same")
    with scratch("kernel") as folder:
        disk = folder + "/disk"
        with open(disk, "wb") as f:
            f.truncate(1 << 20)
        for cpus in (1, 2, 4) if PLAIN else (2,):
            out = other_run(package, run, "-c", str(cpus), "--disk", disk, *args).splitlines()
            print(cpus, out, flush=True)
            check(out[0] == str(cpus), "nproc says %s, want %d" % (out[0], cpus))
            check(re.search(suffix + " " + machine + "$", out[1]), "uname says %s" % out[1])
            check(out[2:] == ["same"], "the disk: %s" % out[2:])


@both("full", 1200)
def kernel_generic():
    other_kernel("linux-image-amd64", "x86_64", r"\d-amd64")


@both("full", 1200)
def kernel_rt():
    other_kernel("linux-image-rt-amd64", "x86_64", r"-rt-amd64")


@case("full", 1200)
def kernel_686():
    """No PAE, 32-bit entry."""
    other_kernel("linux-image-686:i386", "i686", r"\d-686")


@case("full", 1200)
def kernel_686_pae():
    other_kernel("linux-image-686-pae:i386", "i686", r"\d-686-pae")


@case("full", 600)
def kernel_686_translated():
    other_kernel("linux-image-686:i386", "i686", r"\d-686", "--engine", "soft,translate=on")


@case("full", 600)
def kernel_686_pae_translated():
    other_kernel("linux-image-686-pae:i386", "i686", r"\d-686-pae", "--engine", "soft,translate=on")


@case("full", 3600)
def kernel_686_lockstep():
    """A boot, each block compared with the interpreter's."""
    need_plain("slow with a sanitizer; guest/*/holm-lockstep run")
    with scratch("lockstep") as d:
        other_run("linux-image-686:i386", "uname -m", "--json=" + d + "/j", "--engine",
                  "soft,translate=lockstep", timeout=3500)
        with open(d + "/j") as f:
            count = json.load(f)["counters"]
    check(count["compared"] > 1000000 and count["uncompared"] < count["compared"] / 1000, count)
    print(count)


@case("full", 600)
def compat_translated():
    """32-bit programs under a 64-bit kernel."""
    sizes = "head -c 3000000 /dev/zero | sha256sum; seq 1 20000 | sort -n | md5sum; uname -m"
    words = "quiet holm.run=" + holmvm.b64("echo holm-begin;" + sizes)
    with scratch("compat") as d:
        with Vm("--kernel", other_mini("linux-image-amd64") + "/vmlinuz", "--initrd",
                other_mini("linux-image-686:i386") + "/initrd", "-c", "2", "--json=" + d + "/j",
                "--engine", "soft,translate=on", "--append", words, tty=False) as vm:
            out = vm.expect(rb"(?s)holm-begin\r*\n(.*?)holm-exit: 0", 2 * BOOT).group(1).decode()
            check(vm.wait(60) == 0, "exit code %s after power-off" % vm.code)
        with open(d + "/j") as f:
            count = json.load(f)["counters"]
    want = "".join("%d\n" % i for i in range(1, 20001)).encode()
    check(hashlib.sha256(bytes(3000000)).hexdigest() in out, out)
    check(hashlib.md5(want).hexdigest() in out and "x86_64" in out, out)
    # what is not translated is counted: two million would be the programs
    check(count["instructions"] < 20000000, count)
    print(count)


@case("full", 1200)
def kernel_rt_686_pae():
    other_kernel("linux-image-rt-686-pae:i386", "i686", r"-rt-686-pae")


@case("full", 900)
def kernel_parameters():
    """Command lines that take another way through the kernel; the clock asked for is used."""
    for append, clock in (("noapic", None), ("nolapic", None), ("nox2apic noxsave", None),
                          ("clocksource=hpet", "hpet"), ("clocksource=acpi_pm", "acpi_pm"),
                          ("clocksource=tsc no-kvmclock", "tsc"), ("pci=nomsi pci=conf1", None),
                          ("hpet=disable pti=on memtest=2", None)):
        print(append, flush=True)
        out, code = mini_run("nproc; cat /sys/bus/clocksource/devices/clocksource0/current_*",
                             "-c", "2", append="quiet " + append)
        lines = out.splitlines()
        check(code == 0 and lines[0] == ("1" if append == "nolapic" else "2"),
              "%s: %r" % (append, out))
        check(clock in (None, lines[1]), "%s: the clock is %s" % (append, lines[1]))


@case("full", 900)
def reboot_ways():
    """Each way of Linux to reboot resets the machine."""
    for way, code in (("k", 10), ("a", 10), ("p", 10), ("b", 10), ("w,k", 10), ("t", 12)):
        with mini("--no-reboot", "-c", "2", append="quiet reboot=" + way,
                  run="echo rebooting; reboot -f; sleep 60", tty=False) as vm:
            vm.expect("rebooting", BOOT)
            check(vm.wait(30) == code, "reboot=%s: exit code %s, want %d" % (way, vm.code, code))


@case("full")
def cpu_hotplug():
    run = ("cd /sys/devices/system/cpu; for i in 1 2 3; do for c in 1 2 3; do"
           " echo 0 >cpu$c/online; done; nproc; for c in 1 2 3; do echo 1 >cpu$c/online; done;"
           " nproc; done")
    out, code = mini_run(run, "-c", "4")
    check(code == 0 and out.split() == ["1", "4"] * 3, "nproc says %r" % out)
    out, code = mini_run("nproc; cd /sys/devices/system/cpu; for c in 1 2 3; do"
                         " echo 1 >cpu$c/online; done; nproc", "-c", "4", append="quiet maxcpus=1")
    check(code == 0 and out.split() == ["1", "4"], "maxcpus=1: nproc says %r" % out)


@case("full")
def suspend_to_idle():
    """The alarm of the real-time clock wakes it."""
    out, code = mini_run("echo +3 >/sys/class/rtc/rtc0/wakealarm; echo freeze >/sys/power/state;"
                         " echo woke $?; dmesg | grep -o 'PM: suspend exit'", "-c", "2")
    check(out.splitlines() == ["woke 0", "PM: suspend exit"], out)


@case("full")
def sysrq_break():
    """Ctrl-] b is a break, after which Linux takes a key for a SysRq command."""
    with mini_shell("--no-reboot", append="quiet sysrq_always_enabled=1") as vm:
        vm.send(b"\x1dbh")
        vm.expect("sysrq: HELP", 30)
        vm.send(b"\x1dbb")
        check(vm.wait(30) == 10, "exit code %s, want 10" % vm.code)


def kexec_disks(folder):
    """The guest's own kernel and initrd as disks, and the commands that make files of them."""
    src, args, cmds = guest("mini"), [], []
    for name, dev in (("vmlinuz", "vda"), ("initrd", "vdb")):
        data = open(os.path.join(src, name), "rb").read()
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
            f.truncate((len(data) + 511) & ~511)
        args += ["--disk", os.path.join(folder, name) + ",ro"]
        cmds.append("head -c %d /dev/%s >/tmp/%s" % (len(data), dev, name))
    return args, "; ".join(cmds)


@case("full", 900)
def kexec():
    """A kernel that a guest starts itself, at its own wish and after a panic."""
    second = "quiet console=ttyS0 nr_cpus=%d holm.run=" + holmvm.b64(
        "echo second $(nproc); ls /proc/vmcore 2>/dev/null; sleep 1")
    with scratch("kexec") as folder:
        disks, files = kexec_disks(folder)
        for run, append, args, said in (
                ("kexec /tmp/vmlinuz /tmp/initrd '%s'" % (second % 2), "quiet", (), "second 2"),
                ("kexec -p /tmp/vmlinuz /tmp/initrd '%s' && echo c >/proc/sysrq-trigger" %
                 (second % 1), "quiet crashkernel=192M", ("-m", "1G"),
                 r"second 1\r*\n/proc/vmcore")):
            with mini("-c", "2", *disks, *args, append=append, run=files + "; " + run,
                      tty=False) as vm:
                vm.expect(said, 2 * BOOT)
                check(vm.wait(60) == 0, "exit code %s" % vm.code)


@case("full", 600)
def memtest():
    """Memtest86+: a 32-bit and a 64-bit program by the Linux boot protocol, with its own SMP."""
    for name in ("memtest86+x64.bin", "memtest86+ia32.bin"):
        image = os.path.join(guest("memtest"), name)
        with Vm("--kernel", image, "--cmdline", "console=ttyS0,115200", "-m", "64M", "-c",
                "2") as vm:
            vm.expect("2 Cores 2 Threads +SMP: 2T", 60)
            vm.expect("Using: All Cores", 180)
            vm.expect("Pass: +0 +Errors: 0", 60)
            # the screen is sent every other second: a short test may never be on it
            vm.expect(r"#([3-9]|10) +\[", 240)
            check(b"Errors: 0" in vm.output and not re.search(rb"Errors: +[1-9]", vm.output),
                  "%s finds errors" % name)
            vm.send("\x1b")  # Exit: it reboots
            vm.expect(r"Memtest86\+ v", 60)


# --- Debian ---------------------------------------------------------------------------------------

def login(kind, cpus, limit=900):
    with scratch("debian") as folder:
        with Vm(*debian_args(folder, "-c", str(cpus), kind=kind)) as vm:
            vm.expect("debian login: ", limit)
            vm.send("root\n")
            vm.expect(rb"root@debian:~# ", 120)
            vm.send("nproc; findmnt -no FSTYPE,SOURCE /\n")
            vm.expect(r"[\r\n]%d\r*\n" % cpus, 60)
            vm.expect("ext4 +/dev/vda", 60)
            vm.send("poweroff\n")
            check(vm.wait(240) == 0, "exit code %s" % vm.code)


@both("core", 840)
def debian_login_cloud():
    login("debian-cloud", 1, 600)


@both("full", 1800, slow=True)
def debian_login_generic():
    login("debian", 1)


@both("full", 1800)
def debian_login_2cpus():
    login("debian", 2)


@both("full", 1800)
def debian_login_4cpus():
    login("debian-cloud", 4)


@both("full", 1800, slow=True)
def debian_reboot():
    with scratch("debian") as folder:
        with Vm(*debian_args(folder, append="holm.autologin")) as vm:
            vm.expect(rb"root@debian:~# ", 900)
            vm.send("touch /was-here; reboot; sleep 9999\n")  # no prompt of the old boot
            vm.expect("reboot: Restarting system", 300)
            vm.expect(rb"root@debian:~# ", 900)
            vm.send("ls /was-here; poweroff\n")
            vm.expect("[\r\n]/was-here", 60)
            check(vm.wait(240) == 0, "exit code %s" % vm.code)


@both("full", 2400)
def debian_programs():
    program = r'''
cat >a.c <<'E'
#include <stdio.h>
#include <math.h>
int main(void) { double s = 0; for (int i = 1; i < 100000; i++) s += sqrt(i) / i;
  printf("sum %.10f\n", s); return 7; }
E
gcc -O2 a.c -lm -o a; ./a; echo gcc-exit $?
python3 -c 'import hashlib, json, math, decimal
print("py", hashlib.sha256(b"x" * 1000000).hexdigest()[:16], math.factorial(30),
 decimal.Decimal(2).sqrt(), json.dumps({"a": [1, 2.5]}))'
head -c 3000000 /dev/zero | openssl dgst -sha256
head -c 3000000 /dev/zero | openssl enc -aes-128-cbc -K 00112233445566778899aabbccddeeff \
 -iv 00112233445566778899aabbccddeeff | openssl dgst -md5
openssl speed -seconds 1 -bytes 1024 sha256 2>/dev/null | tail -1
'''
    out, code = debian_run(program, timeout=1800)
    zero = hashlib.sha256(bytes(3000000)).hexdigest()
    total = 0.0
    for i in range(1, 100000):
        total += math.sqrt(i) / i
    for want in ("sum %.10f" % total, "gcc-exit 7", "py " +
                 hashlib.sha256(b"x" * 1000000).hexdigest()[:16],
                 "265252859812191058636308480000000", "1.414213562373095048801688724",
                 '{"a": [1, 2.5]}', zero):
        check(want in out, "no %r in:\n%s" % (want, out))
    check(re.search(r"sha256 +[\d.]+k", out), "openssl speed says nothing:\n" + out)


def stress(cpus, cpu_seconds):
    """All methods of the cpu stressor for a while, then each stressor of both classes in turn."""
    # of several uprobe stressors all but one find the trace file busy and give up; madvise has the
    # kernel poison its own memory, and sometimes touches it ("MCE: Killing stress-ng-madvi")
    each = "stress-ng --class %%s --seq %d -x uprobe,madvise --vm-bytes 64M --verify -t 1 2>&1" % cpus
    run = ("stress-ng --cpu %d --cpu-method all --verify -t %d 2>&1; a=$?; %s; b=$?; %s;"
           "echo verdict $a $b $?") % (cpus, cpu_seconds, each % "cpu", each % "vm")
    out, code = debian_run(run, "-c", str(cpus), timeout=3000)
    if "verdict 0 0 0" not in out:
        raise Failed("\n".join(line for line in out.splitlines()
                               if re.search("fail:|warn:|error:|verdict|[Kk]illed|BUG|Oops", line)))


@both("full", 3600, slow=True)
def debian_stress():
    stress(2, 120)


@case("full", 3600)
def debian_stress_1cpu():
    stress(1, 20)


@case("full", 3600)
def debian_stress_4cpus():
    stress(4, 20)


@case("full", 1800)
def debian_acpi():
    """acpidump | iasl: the tables disassemble and compile again without a word."""
    run = ("mkdir -p t && cd t && acpidump -b && ls && iasl -e *.dat -d dsdt.dat 2>&1 | tail -3;"
           "for f in *.dat; do iasl -d $f >/dev/null 2>&1 || echo bad $f; done;"
           "iasl dsdt.dsl 2>&1 | grep -E 'Error|Warning|Remark'")
    out, _ = debian_run(run)
    check("bad " not in out, out)
    check(re.search(r"0 Errors, 0 Warnings", out), out)


# --- translated ---------------------------------------------------------------------------------

@case("core", 300)
def mini_translated():
    for cpus, how in ((1, "on"), (2, "on"), (4, "on"), (2, "eager")):
        with scratch("translated") as d:
            out, _ = mini_run("nproc; head -c 3000000 /dev/zero | sha256sum;"
                              "for i in 1 2 3 4; do (head -c 1000000 /dev/zero | md5sum) & done; wait;"
                              "dmesg -r | grep '^<[0-3]>'", "-c", str(cpus), "--json=" + d + "/j",
                              "--engine", "soft,translate=" + how)
            with open(d + "/j") as f:
                count = json.load(f)["counters"]
        check(re.search(r"^%d$" % cpus, out, re.M), out)
        check(hashlib.sha256(bytes(3000000)).hexdigest() in out, out)
        check(out.count(hashlib.md5(bytes(1000000)).hexdigest()) == 4, out)
        check("<" not in out, "errors in dmesg: " + out)
        check(count["translations"] > 1000, "hardly anything was translated: %s" % count)
        print(cpus, how, count)


@case("core", 300)
def small_cache():
    """The code cache is full again and again, with all vCPUs in it."""
    for cpus in (1, 4):
        with scratch("small") as d:
            out, _ = mini_run("for i in 1 2 3 4; do (head -c 1000000 /dev/zero | md5sum;"
                              "seq 1 3000 | sort -rn | sha256sum; find / -xdev | wc -l >/dev/null) & done; wait;"
                              "dmesg -r | grep '^<[0-3]>'", "-c", str(cpus), "--json=" + d + "/j",
                              "--engine", "soft,translate=on,cache=8M")
            with open(d + "/j") as f:
                count = json.load(f)["counters"]
        check(out.count(hashlib.md5(bytes(1000000)).hexdigest()) == 4, out)
        numbers = "".join("%d\n" % n for n in range(3000, 0, -1)).encode()
        check(out.count(hashlib.sha256(numbers).hexdigest()) == 4, out)
        check("<" not in out, "errors in dmesg: " + out)
        print(cpus, count)
        check(count["code_resets"] > 8, "it was emptied %d times only" % count["code_resets"])
        check(count["code_bytes"] + count["store_bytes"] <= 8 << 20, count)


@case("full", 900)
def mini_lockstep():
    """A boot and some work, each block compared with the interpreter's."""
    need_plain("slow with a sanitizer; guest/*/holm-lockstep run")
    with scratch("lockstep") as d:
        out, _ = mini_run("head -c 100000 /dev/zero | sha256sum; dmesg -r | grep '^<[0-3]>'",
                          "--json=" + d + "/j", "--engine", "soft,translate=lockstep", timeout=800)
        with open(d + "/j") as f:
            count = json.load(f)["counters"]
    check(hashlib.sha256(bytes(100000)).hexdigest() in out, out)
    check(count["compared"] > 1000000 and count["uncompared"] < count["compared"] / 1000, count)
    print(count)


def deny(what):
    return [os.path.join(holmvm.BUILD, "tests/system/deny"), what]


# What a host may lack: the reason's name, words of its sentence, how to take it away.
LACKS = [("translator-no-bmi2", "BMI2", ["env", "HOLM_LACK=bmi2"]),
         ("translator-no-exec-memory", "memfd", deny("0,memfd_create")),
         ("translator-no-address-space", "TiB", ["sh", "-c", 'ulimit -v 4000000; exec "$@"', "sh"]),
         ("translator-no-timer", "timer", ["bash", "-c", 'ulimit -i 0; exec "$@"', "sh"]),
         ("translator-no-timer", "timer", deny("0,timer_create")),
         ("translator-no-gs", "GS", deny("0,arch_prctl"))]
if MODE == "asan":
    del LACKS[2]  # its shadow needs more than any limit
LACKING = os.path.join(holmvm.BUILD, "tests/system/holm_lack")


def quiet_run(*argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=30 * SCALE)


@case("core", 60)
def translator_refused():
    """Its options and what it cannot have are told."""
    kernel = guest("mini") + "/vmlinuz"
    for option in ("soft,translate=maybe", "soft,translate", "soft,translate=on,", "soft,on"):
        refused(["run", "--kernel", kernel, "--engine", option], 2,
                "takes translate=off, on, eager or lockstep")
    for option, text in (("cache=1M", "4M to 1024M"), ("cache=2G", "4M to 1024M"), ("cache=12", "no unit"),
                         ("cache=", "not a size"), ("cache=8M,cache=8M", "twice"),
                         ("translate=on,translate=on", "twice"),
                         ("translate=off,cache=8M", "no use for cache=")):
        refused(["run", "--kernel", kernel, "--engine", "soft," + option], 2, text)
    refused(["run", "--kernel", kernel, "--engine", "soft,translate=lockstep", "-c", "2"], 2,
            "translate=lockstep takes 1 vCPU, not 2")
    refused(["run", "--kernel", kernel, "--engine", "soft,translate=on", "-c", "17"], 2,
            "up to 16 vCPUs")
    for name, words, how in LACKS:
        for mode in ("on", "eager", "lockstep"):
            out = quiet_run(*how, LACKING, "run", "--kernel", kernel, "--engine",
                            "soft,translate=" + mode)
            text = out.stderr.decode()
            check(out.returncode == 3 and text.count("\n") == 1 and words in text and
                  "translate=off" in text, "%s, %s: %s" % (name, mode, out))


@case("core", 120)
def translator_falls_back():
    """Where nobody asked for it by name, a machine runs without it, and says so when asked."""
    with scratch("fall") as d:
        kernel = tiny.write(d + "/k", tiny.say("hello"), tiny.poweroff())

        def run(*words, how=(), holm=LACKING):
            out = quiet_run(*how, holm, "run", "--kernel", kernel, "-m", "32M", "--json=" + d + "/j",
                            *words)
            check((out.returncode, out.stdout) == (0, b"hello"), out)
            with open(d + "/j") as f:
                said = json.load(f)
            return said["translate"], said["translate_refusal"], out.stderr.decode()

        for name, words, how in LACKS:
            for engine in ((), ("--engine", "soft")):
                check(run(*engine, how=how) == ("off", name, ""), "%s: %s" %
                      (name, run(*engine, how=how)))
            mode, _, text = run("-v", how=how)
            lines = [line for line in text.splitlines() if "translate=off" in line]
            check(mode == "off" and len(lines) == 1 and name in lines[0] and words in lines[0], text)
            out = quiet_run(*how, LACKING, "doctor", "--json")
            soft = {e["name"]: e for e in json.loads(out.stdout)["engines"]}["soft"]
            check(soft["usable"] and not soft["translator"]["usable"], soft)
            check(soft["translator"]["reason"] == name and words in soft["translator"]["sentence"] and
                  soft["translator"]["mend"], soft)
            check("[%s]" % name in quiet_run(*how, LACKING, "doctor").stdout.decode(), name)
        check(run("-c", "17")[:2] == ("off", "translator-too-many-cpus"), run("-c", "17"))
        # the probe got a timer, the vCPU did not
        mode = run("-v", how=["env", "HOLM_LACK=timers"])
        check(mode[:2] == ("off", "translator-no-timer") and "vCPU 0, translate=off" in mode[2], mode)
        out = quiet_run("env", "HOLM_LACK=timers", LACKING, "run", "--kernel", kernel, "--engine",
                        "soft,translate=on")
        check(out.returncode == 3 and b"no timer" in out.stderr, out)
        for words, want in (((), "on"), (("--engine", "soft,translate=off"), "off"),
                            (("--engine", "soft,translate=lockstep"), "lockstep")):
            check(run(*words, holm=HOLM) == (want, None, ""), run(*words, holm=HOLM))
    engines = {e["name"]: e for e in json.loads(quiet_run(HOLM, "doctor", "--json").stdout)["engines"]}
    check(engines["kvm"]["translator"] is None, engines)
    check(engines["soft"]["translator"] == {"usable": True, "reason": "", "sentence": "", "mend": ""},
          engines)


def objdump(folder, code, at):
    """(offset, bytes, mnemonic) of each instruction, as binutils read it."""
    with open(folder + "/code", "wb") as f:
        f.write(code)
    out = subprocess.run([tool("objdump"), "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel",
                          "-w", "--adjust-vma=%#x" % at, folder + "/code"], check=True,
                         stdout=subprocess.PIPE).stdout.decode()
    rows = re.findall(r"^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\t?(.*)$", out, re.M)
    return [(int(a, 16), bytes.fromhex(b), text) for a, b, text in rows]


@case("core", 120)
def log_translate():
    """Each block that covers the addresses is shown: its guest code is the file's, its host code
    is whole and reads the same elsewhere."""
    elf = os.path.join(holmvm.BUILD, "tests/guest/exceptions64.elf")
    symbols = subprocess.run([tool("nm"), "-S", elf], stdout=subprocess.PIPE).stdout.decode()
    at, size = re.search(r"^(\w+) (\w+) T cpu_main$", symbols, re.M).groups()
    first, last = int(at, 16), int(at, 16) + int(size, 16) - 1
    with scratch("log") as d:
        open(d + "/log", "w").write("old\n" * 100000)
        run = ["--kernel", elf, "-m", "128M", "--no-reboot", "--engine", "soft,translate=eager"]
        with Vm(*run, "--log", "translate=%x-0x%X,%s" % (first, last, d + "/log"), tty=False) as vm:
            vm.expect(rb"holm-test: \d+ passed, 0 failed", 100)
            vm.wait(30)
            check(vm.stderr() == "", "on stderr: " + vm.stderr()[:300])
        with open(d + "/log") as f:
            text = f.read()
        check("?" not in text and "old" not in text, "a line that says nothing")
        blocks = re.findall(r"(?ms)^(block 0x\w+(?: without windows)?: vCPU 0, CPL .*?)^block 0x\w+ ends$", text)
        check(len(blocks) > 5 and "goes to block" in text, "%d blocks:\n%s" % (len(blocks), text[:2000]))
        for block in blocks:
            size = int(re.search(r"host code: (\d+) bytes", block).group(1))
            host = [(int(a, 16), bytes.fromhex(b), t) for a, b, t in
                    re.findall(r"^    \+0x(\w+) ((?:\w\w )+) *(\S.*)$", block, re.M)]
            guest_code = [(int(a, 16), bytes.fromhex(b), t) for a, b, t in
                          re.findall(r"^  0x(\w+) ((?:\w\w )+) *(\S.*)$", block, re.M)]
            check(b"".join(b for _, b, _ in host) and sum(len(b) for _, b, _ in host) == size, block)
            place = 0
            for offset, code, _ in host:
                check(offset == place, "a hole at +%#x:\n%s" % (place, block))
                place += len(code)
            check(any(first <= a <= last for a, _, _ in guest_code), block)
            other = objdump(d, b"".join(b for _, b, _ in host), 0)
            check([b for _, b, _ in other] == [b for _, b, _ in host], "host code differs:\n" + block)
            for (_, _, ours), (_, _, theirs) in zip(host, other):
                check(ours.split()[0][:3] == theirs.split()[0][:3] or
                      {ours.split()[0], theirs.split()[0]} in ({"mov", "movabs"}, {"jmp", "jmpq"}),
                      "%s | %s" % (ours, theirs))
            for address, code, ours in guest_code:
                theirs = objdump(d, code, address)
                check(len(theirs) == 1 and theirs[0][1] == code, "%s | %s" % (ours, theirs))
        # and on stderr, each line one of Holm's
        out = quiet_run(HOLM, "run", *run, "--log", "translate=%x" % first)
        lines = out.stderr.decode().splitlines()
        check(lines and all(line.startswith("holm: translate: ") for line in lines), lines[:5])


@case("full", 1800)
def debian_translated():
    out, _ = debian_run("echo 'int main(void) { return 7; }' >a.c; gcc -O2 a.c -o a; ./a; echo gcc $?;"
                        "python3 -c 'import hashlib; print(hashlib.sha256(bytes(3000000)).hexdigest())';"
                        "stress-ng --cpu 2 --cpu-method all --verify -t 30 2>&1; echo verdict $?",
                        "-c", "2", "--engine", "soft,translate=on")
    for want in ("gcc 7", hashlib.sha256(bytes(3000000)).hexdigest(), "verdict 0"):
        check(want in out, out)


@case("full", 3600)
def debian_lockstep():
    """Debian to its userland and a compiler's run, each block compared with the interpreter's."""
    need_plain("slow with a sanitizer; guest/*/holm-lockstep run")
    with scratch("lockstep") as d:
        out, _ = debian_run("echo 'int main(void) { return 7; }' >a.c; gcc -O2 a.c -o a; ./a; echo gcc $?;"
                            "systemctl is-system-running; dmesg -r | grep '^<[0-3]>'",
                            "--json=" + d + "/j", "--engine", "soft,translate=lockstep", timeout=3000)
        with open(d + "/j") as f:
            count = json.load(f)["counters"]
    check("gcc 7" in out, out)
    check(count["compared"] > 100000000 and count["uncompared"] < count["compared"] / 1000, count)
    print(count)


# --- holm stats -----------------------------------------------------------------------------------

@contextlib.contextmanager
def rundir():
    """A runtime folder of the test's own: (its name, an environment that names it)."""
    with scratch("run") as d:
        yield d + "/holm", {**os.environ, "XDG_RUNTIME_DIR": d}


def stats(env, *words, code=0):
    out = subprocess.run([HOLM, "stats", *words], env=env, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30 * SCALE)
    check(out.returncode == code, "stats %s: %s" % (words, out))
    return out.stdout.decode() if not code else out.stderr.decode()


def machines(env, *words):
    said = json.loads(stats(env, "--json", *words))
    check(said["version"] == 1, said)
    return said["machines"]


def within(seconds, fn, what):
    end = time.monotonic() + seconds * SCALE
    while not fn():
        check(time.monotonic() < end, what)
        time.sleep(0.05)


def status(pid, name):
    with open("/proc/%d/status" % pid) as f:
        return re.search(r"^%s:\s*(.*)" % name, f.read(), re.M).group(1)


def children(pid):
    out = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open("/proc/%s/stat" % name) as f:
            if f.read().rsplit(")", 1)[1].split()[1] == str(pid):
                out.append(int(name))
    return out


@case("core", 120)
def stats_lists():
    """None, one, two machines; by name and number; those that end or are killed leave nothing."""
    with rundir() as (folder, env), scratch("kernel") as d:
        kernel = tiny.write(d + "/k", tiny.say("up\n"), tiny.echo())
        check(stats(env) == "no machine is running\n" and machines(env) == [], "none runs")
        check(not os.path.exists(folder), "asking made a folder")
        with Vm("--kernel", kernel, "-m", "32M", "--name", "one", "--json=" + d + "/j", env=env,
                tty=False) as one, Vm("--kernel", kernel, "-m", "48M", "-c", "2", "--name", "two",
                                      *INTERPRETED, env=env, tty=False) as two:
            one.expect("up", 20)
            two.expect("up", 20)
            check(os.stat(folder).st_mode & 0o777 == 0o700, "mode of the folder")
            check(sorted(os.listdir(folder)) == sorted("%d.sock" % v.proc.pid for v in (one, two)),
                  os.listdir(folder))
            for name in os.listdir(folder):
                check(os.stat(folder + "/" + name).st_mode & 0o777 == 0o600, "mode of " + name)
            by_name = {m["name"]: m for m in machines(env)}
            for vm, name, cpus, size, how in ((one, "one", 1, 32, "on"), (two, "two", 2, 48, "off")):
                m = by_name[name]
                check((m["pid"], m["vcpus"], m["memory_bytes"], m["engine"], m["translate"]) ==
                      (vm.proc.pid, cpus, size << 20, "soft", how), m)
                check(0 < m["memory_resident_bytes"] <= size << 20, m)
                check(0 < m["overhead_bytes"] < 512 << 20 and m["uptime_seconds"] > 0, m)
                check(m["counters"]["exits_pio"] > 0 and m["console_bytes"] == 3, m)
                for operand in (name, str(vm.proc.pid)):
                    check([x["name"] for x in machines(env, operand)] == [name], operand)
                    text = stats(env, operand)
                    check("process %d" % vm.proc.pid in text and "port accesses" in text, text)
            lines = stats(env).splitlines()
            check(len(lines) == 3 and "PID" in lines[0] and "one" in lines[1] + lines[2], lines)
            for bad in ("three", "1", ""):
                check("no machine '%s' is running" % bad in stats(env, bad, code=2), bad)
            for bad in ("0", "x", "1e3", "4000", "-1", "nan", ""):
                check("seconds" in stats(env, "--watch=" + bad, code=2), bad)
            stats(env, "--json=/tmp/x", code=2)
            two.signal(signal.SIGKILL)
            two.wait(10)
            within(10, lambda: len(os.listdir(folder)) == 1, "the killed one's socket stays")
            check([m["name"] for m in machines(env)] == ["one"], machines(env))
            one.signal(signal.SIGTERM)
            time.sleep(0.3)
            one.signal(signal.SIGTERM)
            check(one.wait(10) == 4 and os.listdir(folder) == [], "ended: %s" % os.listdir(folder))
        with open(d + "/j") as f:
            check(0 < json.load(f)["overhead_bytes"] < 512 << 20, "overhead")


@case("core", 120)
def stats_leftovers():
    """A machine that stands still is told, a dead one's socket goes, a crash leaves none."""
    with rundir() as (folder, env), scratch("kernel") as d:
        kernel = tiny.write(d + "/k", tiny.say("up\n"), tiny.echo())
        for signum in (signal.SIGABRT, signal.SIGUSR1, signal.SIGQUIT):
            with Vm("--kernel", kernel, "-m", "32M", env=env, tty=False) as vm:
                vm.expect("up", 20)
                vm.signal(signum)
                time.sleep(0.2)
                vm.signal(signum)
                vm.wait(10)
                within(10, lambda: os.listdir(folder) == [], "signal %d: it stays" % signum)
        with Vm("--kernel", kernel, "-m", "32M", env=env, tty=False) as vm:
            vm.expect("up", 20)
            vm.signal(signal.SIGSTOP)
            within(10, lambda: status(vm.proc.pid, "State")[0] == "T", "it goes on")
            check("does not answer" in stats(env), "it stands still")
            check(machines(env) == [{"pid": vm.proc.pid, "error": "does not answer"}], "as JSON")
            stats(env, str(vm.proc.pid), code=3)
            for janitor in children(vm.proc.pid):
                os.kill(janitor, signal.SIGKILL)
            vm.signal(signal.SIGCONT)
            check(len(machines(env)) == 1 and "error" not in machines(env)[0], "it goes on")
            vm.signal(signal.SIGKILL)
            vm.wait(10)
            check(len(os.listdir(folder)) == 1, "who removed it?")
            check(machines(env) == [] and os.listdir(folder) == [], "a dead socket stays")


@case("core", 120)
def stats_without_a_folder():
    """No place for the socket, or one that others may enter: the machine runs on, and says it at -v."""
    with scratch("run") as d:
        kernel = tiny.write(d + "/k", tiny.say("hello"), tiny.poweroff())
        for name in ("file", "open", "long"):
            base = "%s/%s" % (d, name * (1 if name != "long" else 20))
            os.mkdir(base)
            if name == "file":
                open(base + "/holm", "w").close()
            elif name == "open":
                os.mkdir(base + "/holm")
                os.chmod(base + "/holm", 0o777)
            for verbose in ((), ("-v",)):
                out = subprocess.run([HOLM, "run", "--kernel", kernel, "-m", "32M", *verbose],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, timeout=20 * SCALE,
                                     env={**os.environ, "XDG_RUNTIME_DIR": base})
                check((out.returncode, out.stdout) == (0, b"hello"), out)
                check(out.stderr.count(b"will not see this machine: ") == len(verbose), out)
                check(verbose or not out.stderr, out)
            if name != "long":
                check(base in stats({**os.environ, "XDG_RUNTIME_DIR": base}, code=3), name)


@case("core", 120)
def stats_while_it_works():
    """Counters rise while a guest boots, many clients ask, and some neither read nor speak."""
    import socket
    with rundir() as (folder, env), scratch("j") as d:
        with mini("-c", "2", *TRANSLATED, "--json=" + d + "/j", append="quiet", env=env,
                  run="sleep 2; head -c 3000000 /dev/zero | sha256sum", tty=False) as vm:
            path = "%s/%d.sock" % (folder, vm.proc.pid)
            within(20, lambda: os.path.exists(path), "no socket")
            deaf = []
            for i in range(20):
                s = socket.socket(socket.AF_UNIX)
                s.connect(path)
                if i % 2:
                    s.setblocking(False)
                    try:
                        while True:
                            s.send(b'{"method":"stats"}\n' * 50)
                    except OSError:
                        pass
                deaf.append(s)
            last = {}
            watch = subprocess.Popen([HOLM, "stats", "--json", "-w", "0.1", str(vm.proc.pid)],
                                     env=env, stdout=subprocess.PIPE)
            samples, rates = 0, 0
            for line in watch.stdout:
                m = json.loads(line)["machines"][0]
                if "error" in m:
                    continue
                samples += 1
                check(all(v >= last.get(k, 0) for k, v in m["counters"].items()
                          if not k.endswith("_bytes")), "%s\n%s" % (m, last))
                last = m["counters"]
                rates = max(rates, (m["rates"] or {}).get("translations", 0))
            check(watch.wait(20) == 0 and samples > 10 and rates > 100, (samples, rates))
            match = vm.expect(rb"([0-9a-f]{64})", BOOT)
            check(match.group(1).decode() == hashlib.sha256(bytes(3000000)).hexdigest(), "it broke")
            check(vm.wait(60) == 0, "exit code %s" % vm.code)
        with open(d + "/j") as f:
            count = json.load(f)["counters"]
        check(all(count[k] >= v for k, v in last.items() if not k.endswith("_bytes")), count)


@case("core", 120)
def stats_sizes():
    """What the translator says of its memory is what the kernel sees."""
    need_plain("sanitizers have memory of their own")
    with rundir() as (_, env), mini_shell(*TRANSLATED, append="quiet", env=env) as vm:
        time.sleep(1)
        said = machines(env)[0]
        count = said["counters"]
        seen, size = {"code": 0, "store": 0, "decoded": 0, "tables": 0, "ram": 0}, 0
        with open("/proc/%d/smaps" % vm.proc.pid) as f:
            for line in f:
                word = line.split()
                if re.match("[0-9a-f]+-[0-9a-f]+ ", line):
                    kind = "code" if "holm-code" in line else None
                elif word[0] == "Size:":
                    size = int(word[1]) << 10
                    kind = kind or ("store" if size == count["store_size_bytes"] else
                                    "decoded" if size == 6 << 20 else
                                    "tables" if size > 1 << 40 or size == 1 << 30 else
                                    "ram" if size > 500 << 20 else None)
                elif word[0] == "Pss:" and kind:
                    seen[kind] += int(word[1]) << 10
        with open("/proc/%d/smaps_rollup" % vm.proc.pid) as f:
            pss = int(re.search(r"^Pss: *(\d+)", f.read(), re.M).group(1)) << 10
        said["overhead"] = pss - seen["ram"]
        print(seen, said)
        for kind, name in (("code", "code_touched_bytes"), ("store", "store_touched_bytes"),
                           ("decoded", "decoded_touched_bytes"), ("tables", "table_bytes")):
            check(abs(seen[kind] - count[name]) < 256 << 10 or
                  abs(seen[kind] / count[name] - 1) < 0.05, "%s: %d, says %d" %
                  (kind, seen[kind], count[name]))
        # the part below 640 KiB is a mapping of its own
        check(0 <= said["memory_resident_bytes"] - seen["ram"] <= 640 << 10, "ram")
        # shared libraries count as a whole here
        check(-1 << 20 < said["overhead_bytes"] - said["overhead"] < 16 << 20, said)
        vm.send("poweroff\n")
        check(vm.wait(60) == 0, "exit code %s" % vm.code)


# --- memory ---------------------------------------------------------------------------------------

@both("core")
def memory_overhead():
    """PSS minus guest RAM, mini, one CPU: under 30 MiB, translated under 96 MiB."""
    ram = 512 << 10
    with mini_shell("-m", "512M", append="quiet") as vm:
        total = guest_ram = 0
        size = pss = 0
        with open("/proc/%d/smaps" % vm.proc.pid) as f:
            for line in f:
                if line.startswith("Size:"):
                    size = int(line.split()[1])
                elif line.startswith("Pss:"):
                    pss = int(line.split()[1])
                    total += pss
                    # anonymous RAM: the slots' sizes are the memory's, less the hole at 640 KiB
                    if ram - 2048 <= size <= ram + 4096:
                        guest_ram += pss
        print("PSS %d KiB, guest RAM %d KiB, overhead %d KiB" % (total, guest_ram,
                                                               total - guest_ram))
        vm.send("poweroff\n")
        check(vm.wait(60) == 0, "exit code %s" % vm.code)
        check(guest_ram, "guest RAM was not found in smaps")
        if PLAIN:
            most = 96 << 10 if "translate=on" in str(holmvm.ENGINE) else 30 << 10
            check(total - guest_ram < most, "overhead %d KiB" % (total - guest_ram))


@case("core")
def json_outcome():
    with scratch("json") as d:
        with mini("--json=" + d + "/j", append="quiet", run="true", tty=False) as vm:
            check(vm.wait(BOOT) == 0, "exit code %s" % vm.code)
        with open(d + "/j") as f:
            said = json.load(f)
        print(json.dumps(said))
        check(said.get("code", said.get("exit_code")) == 0, "no exit code in it")
