"""The command line's own arguments."""

from __future__ import annotations

import re

from tests.faults.families.tables import short, table_of
from tests.faults.judging import Case
from tests.flows import test_cli
from tests.pipeline import test_main


def stages() -> list[Case]:
    """``python -m genas.pipeline``."""
    cases = []
    for arguments, line in table_of(test_main.test_a_users_mistake_is_one_line_and_status_2):
        cases.append(Case(short(arguments), "plain", " ".join(["pipeline", *arguments]), re.escape(line)))
    for arguments, line in (
        ("data dataset=", "stage data has no row ''"),
        ("data dataset=small=x", "stage data has no row 'small=x'"),
        ("data 'dataset=small; x'", "stage data has no row 'small; x'"),
        ("data dataset=small dataset=small", "stage data takes dataset="),
        ("--help", "unknown stage '--help'"),
        ("zoo row=darts_v2_c10 --force", "stage zoo takes row="),
    ):
        cases.append(Case(arguments, "plain", f"pipeline {arguments}", re.escape(line)))
    return cases


def flows() -> list[Case]:
    """``genas``."""
    cases = []
    for arguments, line in table_of(test_cli.test_users_errors_are_one_line):
        call = " ".join(["genas", *arguments, "--profile {root}"])
        cases.append(Case(short(arguments), "toy", call, re.escape(line.removeprefix("error: "))))
    width = "genas width darts_v2_c10"
    for call, line in (
        (
            "genas run --profile nope",
            "unknown profile 'nope', expected demo, mini, laboratory, official, paper",
        ),
        ("genas run --profile ../..", "unknown profile"),
        ("genas results --profile {root}/params.yaml", "unknown profile"),
        ("genas report --profile /dev/null", "unknown profile"),
        ("genas export ../published --profile {root}", "stage retrain has no row '../published'"),
        ("genas export published --profile {root}", "row published is not retrained yet"),
        (width, "one budget: macs or params"),
        (f"{width} --macs 6e8 --params 5e6", "one budget: macs or params"),
        (f"{width} --macs 1", "no width from 2 to 1024 comes near"),
        (f"{width} --macs -6e8", "macs"),
        (f"{width} --macs nan", "macs"),
        (f"{width} --macs inf", "macs"),
        (f"{width} --macs 6e8 --size 0", "size"),
        (f"{width} --macs 6e8 --size -5", "size"),
        (f"{width} --macs 6e8 --size 99999999", "size|no width"),
        (f"{width} --macs 6e8 --layers 0", "layers"),
        (f"{width} --macs 6e8 --layers 999999", "layers"),
        (f"{width} --macs 6e8 --classes 0", "classes"),
        ("genas width resnet --macs 6e8", "unknown zoo row 'resnet', expected one of"),
        ("genas width spos_c10 --macs 6e8", "its genotype was not published"),
        ("genas width {folder}/no.json --macs 6e8", "no such genotype file"),
        ("genas width {root}/params.yaml.json --macs 6e8", "no such genotype file"),
        ("genas parity {folder}/nowhere", r"cases\.json: not a readable list of cases"),
        ("genas parity {root}/params.yaml", r"cases\.json: not a readable list of cases"),
        ("genas init ../stranger --images {root}", "'../stranger' is no name of a profile"),
        ("genas init 'a; id' --images {root}", "'a; id' is no name of a profile"),
        ("genas init '' --images {root}", "'' is no name of a profile"),
        ("genas init demo --images {root}", "profile demo is there already"),
        ("genas init stranger --images {folder}/nowhere", "nowhere: no such folder, expected one with class folders"),
        ("genas init stranger --images {root}/params.yaml", "params.yaml: no such folder"),
        ("genas init stranger --images {root}/.scratch", "class folders"),
        ("genas data get nothing", "unknown data set 'nothing', expected one of cifar10"),
        ("genas data get imagenet", "imagenet needs a login"),
        ("genas data get cityscapes --into {root}/params.yaml", "cityscapes needs a login"),
        ("genas data get cifar10 --into {root}/params.yaml", "cannot be written"),
        ("genas data changed nothing --profile {root}", "unknown data set 'nothing'"),
        ("genas data check --profile nope", "unknown profile 'nope'"),
        ("genas doctor --profile nope", "unknown profile 'nope'"),
        ("genas track rebuild --profile nope", "unknown profile 'nope'"),
        ("genas site {root}/params.yaml", "params.yaml is a file, expected a folder|needs the extra site"),
        ("genas site {root}", "holds something that is no site|needs the extra site"),
        ("genas serve --profile {root} --cron often", "--cron 'often' is not a cron string"),
    ):
        cases.append(Case(call, "plain", call, line))
    for call, line in (
        ("genas nothing", "nothing"),
        ("genas run --jobs 0", "jobs"),
        ("genas run --jobs many", "jobs"),
        ("genas run --fast", "--fast"),
        ("genas width", "(?i)cell"),
        ("genas width darts_v2_c10 --macs lots", "macs"),
        ("genas serve --port 99999", "port"),
        ("genas track ui --port -1", "port"),
        ("genas bench nothing", "nothing"),
    ):
        cases.append(Case(call, "plain", call, line))
    return cases


def right() -> list[Case]:
    """Rightly accepted."""
    calls = ("--help", "results --profile {root}", "run --help", "results --json -p {root}")
    calls += ("width darts_v2_c10 --macs 6e8", "data check --profile {root}")
    return [Case(call, "plain", f"genas {call}", None) for call in calls]


CASES = {"command line": [*stages(), *flows(), *right()]}
