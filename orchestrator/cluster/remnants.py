"""What a machine still runs of Ray after `ray stop`, or in place of it.

`ray down` runs `ray stop` in a login shell, and takes a missing `ray` for success; a `ray stop`
that is not forced leaves what does not listen.
"""

from __future__ import annotations

from orchestrator.cluster.ssh import Login

#: Ends all processes of Ray that belong to the user: TERM, and after 5 s KILL. Prints how many
#: there were; its exit code is 1 if some are left. It needs nothing but a shell and /proc.
_SCRIPT = r"""
found() {
  for p in /proc/[0-9]*; do
    [ -O "$p" ] || continue
    case "$(tr '\0' ' ' 2>/dev/null <"$p/cmdline")" in
      */ray/core/src/ray/*|*/ray/dashboard/*.py\ *|*/ray/_private/*.py\ *) echo "${p#/proc/}" ;;
      */ray/autoscaler/_private/*.py\ *|ray::*) echo "${p#/proc/}" ;;
    esac
  done
}
set -- $(found)
echo $#
[ $# -gt 0 ] || exit 0
kill "$@" 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do [ -z "$(found)" ] && exit 0; sleep 0.5; done
kill -9 $(found) 2>/dev/null
for i in 1 2 3 4; do [ -z "$(found)" ] && exit 0; sleep 0.5; done
exit 1
"""


def end_ray(login: Login, host: str) -> int | None:
    """End all of Ray that the user runs on a host.

    Returns:
        How many processes there were; None if the host does not answer, or some are left.
    """
    done = login.run(host, _SCRIPT)
    count = done.stdout.strip()
    return int(count) if done.returncode == 0 and count.isdecimal() else None
