"""The loaders that are tried, and the settings of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import places
import yaml
from loader import Loader, Variant
from snowflake_stand_in import FAKESNOW, PROGRAM

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT = yaml.safe_load((Path(__file__).parents[2] / "meltano.yml").read_text())
SHIPPED: Mapping[str, Mapping[str, Any]] = {
    plugin["name"]: plugin for plugin in PROJECT["plugins"]["loaders"]
}
# Where a loader loads to is the test's own.
OF_THE_PLACE = {"path", "default_target_schema", "destination_path", "output_path"}
AS_TEXT = {"use_singer_decimal": True}
NO_VERSIONS = {"emit_activate_version_messages": False}


def packages(name: str) -> list[str]:
    """Return the packages that `meltano.yml` installs."""
    return str(SHIPPED[name]["pip_url"]).split(" ")


def shipped(name: str, tap: Mapping[str, Any] | None = None) -> Variant:
    """Return the settings that `meltano.yml` ships."""
    config: dict[str, Any] = {}
    for setting in SHIPPED[name]["settings"]:
        if "value" in setting and setting["name"] not in OF_THE_PLACE:
            # Meltano makes objects of names with dots.
            *objects, last = setting["name"].split(".")
            inner = config
            for one in objects:
                inner = inner.setdefault(one, {})
            inner[last] = setting["value"]
    return Variant(config, tap or {}, SHIPPED[name].get("env", {}), shipped=True)


def in_batches(variant: Variant, form: str) -> Variant:
    """Return the same settings with BATCH files."""
    return replace(variant, batches=form)


def _s3(url: str) -> dict[str, Any]:
    aws = places.AWS | {
        "aws_region": "us-east-1",
        "aws_bucket": "bucket",
        "aws_endpoint_override": url,
    }
    return {"cloud_provider": {"cloud_provider_type": "aws", "aws": aws}}


def _s3_format(name: str, tap: Mapping[str, Any] | None = None) -> Variant:
    return Variant({"format": {"format_type": name}}, tap or {})


def _flat_s3(url: str) -> dict[str, Any]:
    return {**places.AWS, "s3_bucket": "bucket", "aws_endpoint_url": url}


LOADERS = [
    Loader(
        "target-postgres",
        packages("target-postgres"),
        places.postgres_url,
        [
            Variant(),
            shipped("target-postgres"),
            in_batches(shipped("target-postgres"), "jsonl"),
            Variant({"use_copy": True}),
        ],
        "target-postgres",
    ),
    Loader(
        "target-snowflake",
        [*packages("target-snowflake"), FAKESNOW],
        places.snowflake,
        [
            Variant(),
            shipped("target-snowflake", AS_TEXT),
            in_batches(shipped("target-snowflake", AS_TEXT), "jsonl"),
            in_batches(shipped("target-snowflake", AS_TEXT), "arrow"),
        ],
        "target-snowflake",
        program=PROGRAM,
    ),
    Loader(
        "target-duckdb",
        packages("target-duckdb"),
        places.duckdb_file,
        [Variant(), shipped("target-duckdb", AS_TEXT)],
        "target-duckdb",
    ),
    Loader(
        "target-jsonl",
        packages("target-jsonl"),
        places.files("destination_path"),
        [Variant(), shipped("target-jsonl")],
        "target-jsonl",
        log=True,
    ),
    Loader(
        "pipelinewise-target-postgres",
        ["pipelinewise-target-postgres"],
        places.postgres_parts,
        [Variant(), Variant(tap=AS_TEXT)],
        "target-postgres",
    ),
    Loader(
        "meltanolabs-target-csv",
        packages("target-csv"),
        places.files("output_path"),
        [Variant(), shipped("target-csv")],
        "target-csv",
        log=True,
    ),
    Loader(
        "plinxore-target-s3",
        packages("target-s3"),
        places.bucket(_s3),
        [
            _s3_format("jsonl"),
            shipped("target-s3"),
            _s3_format("parquet"),
            _s3_format("parquet", AS_TEXT),
        ],
        "target-s3",
        log=True,
    ),
    Loader(
        "target-s3-jsonl",
        ["target-s3-jsonl"],
        places.bucket(_flat_s3),
        [Variant()],
        "target-s3-jsonl",
        log=True,
    ),
    Loader(
        "pipelinewise-target-s3-csv",
        ["pipelinewise-target-s3-csv"],
        places.bucket(_flat_s3),
        [Variant()],
        "target-s3-csv",
        log=True,
    ),
    Loader(
        "target-singer-jsonl",
        ["target-singer-jsonl"],
        places.files("folder", inside="local", destination="local"),
        [Variant(), Variant(tap=NO_VERSIONS)],
        "target-singer-jsonl",
        log=True,
    ),
    Loader(
        "target-csv",
        # It imports pkg_resources, which newer versions do not have.
        ["target-csv", "setuptools<81"],
        places.files("destination_path", disable_collection=True),
        [Variant()],
        "target-csv",
        log=True,
    ),
    Loader(
        "target-universal-file",
        ["target-universal-file"],
        places.files("path", protocol="local"),
        [Variant({"file_type": kind}) for kind in ("jsonl", "csv", "parquet")],
        "target-universal-file",
        log=True,
    ),
    Loader(
        "target-avro",
        ["target-avro", "setuptools<81"],
        places.files("destination_path", disable_collection=True, prefix=""),
        [Variant()],
        "target-avro",
        log=True,
    ),
    Loader(
        "target-sqlite", ["target-sqlite"], places.files("database"), [Variant()], "target-sqlite"
    ),
    Loader(
        "target-parquet",
        ["target-parquet"],
        places.files("destination_path"),
        [Variant()],
        "target-parquet",
        log=True,
    ),
]
