"""Load the reports of many accounts: one `meltano run` for each, a bounded number at once."""

from __future__ import annotations

from pathlib import Path

import pendulum
import yaml
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

HERE = Path(__file__).resolve().parent
PROJECT = str(HERE.parents[1])
ACCOUNTS = "uv run --no-sync python examples/airflow/accounts.py"
NAMES = [one["name"] for one in yaml.safe_load((HERE / "accounts.yml").read_text())["accounts"]]

with DAG(
    "affiliate_reports",
    schedule="0 15 * * *",  # yesterday is over for six hours by then, from New York to Los Angeles
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
):
    plan = BashOperator(task_id="plan", cwd=PROJECT, bash_command=f"{ACCOUNTS} plan")
    load = BashOperator.partial(
        task_id="load",
        cwd=PROJECT,
        append_env=True,
        # The pool bounds how many accounts are loaded at once.
        pool="affiliate_accounts",
        # A retry continues at the first window that is not finished, and requests no export again.
        # The pause before it is Airflow's default_task_retry_delay, 5 minutes unless it is set.
        retries=2,
        # What the plan found is no reason to load nothing.
        trigger_rule="all_done",
        map_index_template="{{ task.env['ACCOUNT'] }}",
        bash_command=(
            f'{ACCOUNTS} run "$ACCOUNT" meltano run --no-install --state-id-suffix "$ACCOUNT" '
            "tap-affiliate-reports target-postgres"
        ),
    ).expand(env=[{"ACCOUNT": name} for name in NAMES])
    # One account that fails stops no other, so this task decides whether the run has failed.
    behind = BashOperator(
        task_id="behind",
        cwd=PROJECT,
        trigger_rule="all_done",
        bash_command=f"{ACCOUNTS} behind",
    )
    plan >> load >> behind
