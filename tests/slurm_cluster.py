"""A Slurm cluster of one node on this machine, with two graphics cards that are only names.

Used by the tests marked `slurm` and by `benchmarks/bench_campaign.py`.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONFIGURATION = Path("/etc/slurm")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "sbatch", "squeue")

SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=2,batch_sched_delay=0
ReturnToService=2
MinJobAge=600
KillWait=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=20000 Gres=gpu:fake:2
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE
"""
# Any device file will do: the jobs get it in CUDA_VISIBLE_DEVICES and never open it.
GRES_CONF = """\
AutoDetect=off
NodeName={host} Name=gpu Type=fake File=/dev/zero
NodeName={host} Name=gpu Type=fake File=/dev/null
"""
CGROUP_CONF = """\
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
CgroupAutomount=no
ConstrainCores=no
ConstrainDevices=no
ConstrainRAMSpace=no
"""


def reason_for_none() -> str | None:
    """Say why no cluster can be started here; None where one can."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"no Slurm here ({', '.join(missing)} missing); install slurm-wlm and munge"
    if os.geteuid() != 0:
        return "starting a Slurm cluster needs root"
    if (CONFIGURATION / "slurm.conf").exists():
        return f"Slurm is set up on this machine ({CONFIGURATION}/slurm.conf); its cluster is not ours to use"
    return None


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Start a cluster whose files lie in a folder, and stop it at the end."""
    folder.chmod(0o700)
    written = _write_configuration(folder)
    pid_files = [folder / f"{name}.pid" for name in ("slurmd", "slurmctld", "munged")]
    try:
        _start_munge(folder)
        subprocess.run(["slurmctld", "-c"], check=True, capture_output=True)
        subprocess.run(["slurmd"], check=True, capture_output=True)
        _wait_until_idle()
        yield
    finally:
        for file in pid_files:
            if file.exists():
                subprocess.run(["kill", file.read_text().strip()], check=False, capture_output=True)
        for file in written:
            file.unlink(missing_ok=True)


def _write_configuration(folder: Path) -> list[Path]:
    """Write the configuration where every part of Slurm looks for it: the job step drops all SLURM_* variables."""
    values = {
        "host": socket.gethostname().split(".")[0],
        "folder": folder,
        "controller_port": _free_port(),
        "node_port": _free_port(),
    }
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    CONFIGURATION.mkdir(exist_ok=True)
    texts = {"slurm.conf": SLURM_CONF, "gres.conf": GRES_CONF, "cgroup.conf": CGROUP_CONF}
    for name, text in texts.items():
        (CONFIGURATION / name).write_text(text.format(**values))
    return [CONFIGURATION / name for name in texts]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start_munge(folder: Path) -> None:
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    files = {"socket": "munge.socket", "key-file": key.name, "pid-file": "munged.pid", "log-file": "munged.log"}
    options = [f"--{option}={folder / name}" for option, name in {**files, "seed-file": "munged.seed"}.items()]
    subprocess.run(["munged", "--force", *options], check=True, capture_output=True)


def _wait_until_idle() -> None:
    for _ in range(60):
        shown = subprocess.run(["sinfo", "--noheader", "--format=%T"], check=False, capture_output=True, text=True)
        if shown.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    message = f"the Slurm node did not get ready: {shown.stdout} {shown.stderr}"
    raise RuntimeError(message)
