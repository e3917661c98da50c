"""Say in one line what is missing before Spark is started; runs on a bare Python."""

import os
import re
import shutil
import subprocess
import sys

__all__ = ["complaint", "found"]

_FITTING = (17, 21)
_REMEDY = "install it (Debian: apt-get install openjdk-17-jre-headless) or set JAVA_HOME"


def complaint(found: str | None) -> str | None:
    """Return what is wrong with this machine's Java, or None.

    Args:
        found: What ``java -version`` prints; None if there is no such command.

    Examples:
        >>> complaint('openjdk version "17.0.15" 2025-04-15')
        >>> complaint('openjdk version "11.0.2"')[:32]
        'Java 17 or 21 is needed, 11 was '
    """
    home = os.environ.get("JAVA_HOME")
    if found is None and home:
        problem = f"Java 17 or 21 is needed and JAVA_HOME is {home!r}, which has no bin/java"
        return f"{problem}: name a folder that has it in JAVA_HOME, or unset it"
    if found is None:
        return f"Java 17 or 21 is needed and no java is found: {_REMEDY}"
    match = re.search(r'version "(\d+)', found)
    version = int(match[1]) if match else 0
    if version not in _FITTING:
        where = f" in JAVA_HOME={home!r}" if home else ""
        said = f"{version or 'an unknown one'} was found{where}"
        return f"Java 17 or 21 is needed, {said}: {_REMEDY}"
    return None


def found() -> str | None:
    """Return what this machine's ``java -version`` prints, or None without one."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if java is None:
        return None
    ran = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    return ran.stderr + ran.stdout


if __name__ == "__main__":
    problem = complaint(found())
    if problem:
        sys.stderr.write(problem + "\n")
        sys.exit(1)
