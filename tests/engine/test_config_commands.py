"""What a person types to configure a stack, run by the real CLI."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.packaging import PROJECT_ROOT, function_names
from components.settings.stack import StackSettings
from local.engine.stack_config import load_stack_config
from tests.engine.conftest import Shell

PAGES = [
    *sorted((PROJECT_ROOT / "docs").glob("*.md")),
    PROJECT_ROOT / "README.md",
    PROJECT_ROOT / "bootstrap" / "README.md",
    PROJECT_ROOT / "examples" / "billing" / "README.md",
]
SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:signing-AbCdEf"
KEY_ARN = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
# The variables that the documents set before these lines.
VARIABLES = {
    "AWS_REGION": "eu-central-1",
    "STATE_BUCKET": "acme-state",
    "SECRETS_KEY_ARN": KEY_ARN,
    "SECRET_ARN": SECRET_ARN,
}


def commands(page: Path) -> list[str]:
    """The `pulumi config set` commands of a page, in code blocks and within sentences."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(pulumi config set .*?)(?:\s+#.*)?$", text, re.M)
    lines += [re.sub(r"\s+", " ", found) for found in re.findall(r"`(pulumi config set [^`]+)`", text)]
    # Needs the GitHub CLI and an account; its result is an ordinary text.
    lines = [re.sub(r'"\$\(gh api .*\)"', "acme@1/orders@2", line) for line in lines]
    return [line.partition(" && pulumi up")[0] for line in lines]


DOCUMENTED = [(page, line) for page in PAGES for line in commands(page)]


def project(root: Path, source: Path) -> Path:
    """A copy of a project's description, in which a stack can be configured."""
    folder = root / "project"
    folder.mkdir()
    shutil.copy(source / "Pulumi.yaml", folder)
    return folder


@pytest.mark.parametrize(
    ("page", "line"), DOCUMENTED, ids=[f"{page.parent.name}/{page.name}: {line}" for page, line in DOCUMENTED]
)
def test_a_documented_command_is_accepted(page: Path, line: str, shell: Shell, tmp_path: Path) -> None:
    source = page.parent if (page.parent / "Pulumi.yaml").exists() else PROJECT_ROOT
    folder = project(tmp_path, source)
    stack = "prod" if "--stack prod" in line else "dev"
    line = line.replace("<account>", "123456789012")
    shell(f"pulumi stack init {stack} && {line}", folder=folder, variables=VARIABLES)


TYPED: list[tuple[list[str], dict[str, Any]]] = [
    (
        [
            "--path 'orderflow:usagePlans.gold.quotaPerDay' 100000",
            "--path usagePlans.gold.burst 50",
            "--path usagePlans.gold.rate 2.5",
        ],
        {"rate": 2.5, "quota_per_day": 100_000, "burst": 50},
    ),
    (["--path tags.isTest true", "--path tags.costCenter 0815", "--path tags.team orders"], {}),
    (["--path reservedConcurrency.orders_api 20", "--path 'reservedConcurrency.order_consumer' 40"], {}),
    (
        [
            "--path customDomain.name api.example.com",
            "--path customDomain.certificateArn arn:aws:acm:eu-central-1:123456789012:certificate/1-2",
            "--path customDomain.zoneId Z0123456789ABC",
        ],
        {},
    ),
    (["--path 'corsOrigins[0]' https://shop.example.com"], {}),
    (
        [
            "fulfillmentUrl https://partner.example/orders",
            f"--plaintext fulfillmentSecretArn {SECRET_ARN}",
            "functionMemoryMb 512",
            "firewall true",
            "alarmEmail oncall@example.com",
        ],
        {},
    ),
]


@pytest.mark.parametrize(("arguments", "plan"), TYPED, ids=[typed[0].split()[-2] for typed, _ in TYPED])
def test_what_a_person_types_is_what_the_program_reads(
    arguments: list[str], plan: dict[str, Any], shell: Shell, tmp_path: Path
) -> None:
    folder = project(tmp_path, PROJECT_ROOT)
    lines = [f"pulumi config set {argument}" for argument in ["aws:region eu-central-1", *arguments]]
    shell(" && ".join(["pulumi stack init dev", *lines]), folder=folder)
    stack_file = folder / "Pulumi.dev.yaml"
    stack_file.write_text(
        "\n".join(line for line in stack_file.read_text().splitlines() if not line.startswith("encryption"))
    )
    values = load_stack_config(folder, "dev").values
    config = {
        key.removeprefix("orderflow:"): value for key, value in values.items() if key.startswith("orderflow:")
    }
    settings = StackSettings.read(config, config, functions=function_names(), region="eu-central-1")
    if plan:
        gold = settings.api.usage_plans["gold"]
        assert (gold.rate, gold.quota_per_day, gold.burst) == (2.5, 100_000, 50)
    if "tags" in arguments[0]:
        assert settings.tags == {"isTest": "true", "costCenter": "0815", "team": "orders"}
    if "reservedConcurrency" in arguments[0]:
        assert settings.functions.reserved_concurrency == {"orders_api": 20, "order_consumer": 40}
    if "customDomain" in arguments[0]:
        assert settings.custom_domain is not None
        assert settings.custom_domain.zone_id == "Z0123456789ABC"
    if "corsOrigins" in arguments[0]:
        assert settings.api.cors_origins == ("https://shop.example.com",)
    if "fulfillmentUrl" in arguments[0]:
        assert settings.fulfillment is not None
        assert settings.fulfillment.secret_arn == SECRET_ARN
        assert (settings.functions.memory_mb, settings.firewall) == (512, True)
