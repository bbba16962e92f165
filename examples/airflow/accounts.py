"""Run Meltano for the accounts of accounts.yml, each with its credentials and a folder of its own.

python accounts.py names                      print the names of the accounts
python accounts.py run NAME COMMAND...        run a command for one account
python accounts.py plan                       print what the next syncs would load and cost
python accounts.py behind                     fail if an account is behind by more than a day
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(os.environ.get("MELTANO_PROJECT_ROOT") or Path(__file__).parents[2])
ACCOUNTS = Path(os.environ.get("AFFILIATE_ACCOUNTS") or Path(__file__).with_name("accounts.yml"))
TAP = "tap-affiliate-reports"
LOADER = os.environ.get("AFFILIATE_LOADER") or "target-postgres"
# A setting of the tap -> the key of accounts.yml with the name of its variable.
CREDENTIALS = {"ACCOUNT_SID": "account_sid", "AUTH_TOKEN": "auth_token"}
PLUGINS = ("extractors", "loaders", "utilities")
# How many plans are made at once.
WORKERS = 4
# Yesterday is loaded six hours after its end in the account's zone, so in some zones the last day
# is two days ago by UTC. One day more is allowed.
LATEST = timedelta(days=3)


def accounts() -> dict[str, Mapping[str, str]]:
    """Return the accounts by their names."""
    listed = yaml.safe_load(ACCOUNTS.read_text())["accounts"]
    return {account["name"]: account for account in listed}


def environment(account: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of one account's Meltano; raises SystemExit without credentials."""
    values = dict(os.environ)
    for setting, key in CREDENTIALS.items():
        if not values.get(account[key]):
            sys.exit(f"{account['name']}: the environment variable {account[key]} is not set")
        values[f"TAP_AFFILIATE_REPORTS_IMPACT_{setting}"] = values[account[key]]
    # Runs of one plugin share the files that Meltano writes for it, the state among them, so
    # accounts that are loaded at the same time must not have one folder.
    folder = PROJECT / ".meltano" / "accounts" / account["name"]
    folder.mkdir(parents=True, exist_ok=True)
    for kind in PLUGINS:
        link = folder / kind
        if not link.is_symlink():
            link.symlink_to(Path("..", "..", kind), target_is_directory=True)
    return values | {
        "MELTANO_SYS_DIR_ROOT": str(folder),
        "MELTANO_PROJECT_ROOT": str(PROJECT),
        # A loader that gets ACTIVATE_VERSION retires all older rows of the table, those of other
        # accounts too. `reload: all` retires only an account's own.
        "TAP_AFFILIATE_REPORTS_EMIT_ACTIVATE_VERSION_MESSAGES": "false",
    }


def run(name: str, command: Sequence[str]) -> int:
    """Run a command for one account; return its exit status."""
    own = environment(accounts()[name])
    return subprocess.run(command, env=own, cwd=PROJECT, check=False).returncode


def plan_of(account: Mapping[str, str]) -> dict[str, Any]:
    """Return the plan of an account's next sync, with the state that the last one left."""
    own = environment(account)
    state = Path(own["MELTANO_SYS_DIR_ROOT"]) / "state.json"
    place = own.get("MELTANO_ENVIRONMENT") or "dev"
    state_id = f"{place}:{TAP}-to-{LOADER}:{account['name']}"
    state.write_text(_meltano(own, "state", "get", state_id))
    said = _meltano(own, "invoke", f"{TAP}:plan", "--json", "--state", str(state))
    plan: dict[str, Any] = json.loads(said)
    return plan


def _meltano(own: Mapping[str, str], *arguments: str) -> str:
    """Return what a command of Meltano printed; raises SystemExit if it printed nothing."""
    command = (Path(sys.executable).with_name("meltano"), *arguments)
    done = subprocess.run(
        command, env=own, cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if not done.stdout.strip():
        said = done.stderr.strip().splitlines() or ["no output"]
        sys.exit(f"meltano {' '.join(arguments[:2])}: {said[-1]}")
    return done.stdout


def plans() -> dict[str, dict[str, Any]]:
    """Return the plan of each account, or what kept it from being made."""

    def tried(account: Mapping[str, str]) -> dict[str, Any]:
        try:
            return plan_of(account)
        except (SystemExit, ValueError) as error:
            return {"ok": False, "sources": [], "errors": [str(error)]}

    listed = accounts()
    with ThreadPoolExecutor(WORKERS) as pool:
        return dict(zip(listed, pool.map(tried, listed.values()), strict=True))


def show_plan() -> int:
    """Print what the next sync of each account would spend, and the sum."""
    totals = [0, 0]
    print(f"{'account':<20}{'exports':>10}{'clicks':>10}  problems")
    for name, plan in plans().items():
        costs = [
            sum(source.get(f"{kind}_to_spend", 0) for source in plan["sources"])
            for kind in ("exports", "clicks")
        ]
        totals = [total + cost for total, cost in zip(totals, costs, strict=True)]
        print(f"{name:<20}{costs[0]:>10}{costs[1]:>10}  {'; '.join(plan['errors'])}")
    print(f"{'all':<20}{totals[0]:>10}{totals[1]:>10}")
    return 0


def show_behind() -> int:
    """Print the accounts that are behind; return 1 if there is one."""
    latest = (datetime.now(timezone.utc) - LATEST).date()
    late = {name: found for name, plan in plans().items() if (found := behind(plan, latest))}
    for name, found in late.items():
        print(f"{name} is behind: {'; '.join(found)}")
    return int(bool(late))


def behind(plan: Mapping[str, Any], latest: date) -> list[str]:
    """Return the streams that have not all days up to `latest`, and why nothing is known."""
    found = list(plan["errors"])
    for source in plan["sources"]:
        for stream in source["streams"]:
            last = latest.isoformat()
            missing = [window for window in stream["new"] if window["end"] is not None]
            if stream["stream"] == "clicks":
                # They are loaded from the newest day back, so older days may follow for weeks.
                missing = [window for window in missing if window["end"] >= last]
            days = [window["start"] for window in missing if window["start"] <= last]
            if days and (stream["complete_until"] or "") < last:
                found.append(f"{stream['stream']} lacks {min(days)}")
    return found


def main(arguments: Sequence[str]) -> int:
    """Run one of the commands."""
    match arguments:
        case ["names"]:
            print(*accounts(), sep="\n")
            return 0
        case ["run", name, *command] if command:
            return run(name, command)
        case ["plan"]:
            return show_plan()
        case ["behind"]:
            return show_behind()
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
