"""Apply, plan again, alarm, destroy: what `make infra-apply-local` does once its tools are there (apply-local.sh)."""

import json
import os
import pathlib
import platform
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import zipfile

import boto3

ROOT = pathlib.Path(__file__).resolve().parent
WORK, BINARIES = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
FUNCTIONS = sorted(entry.name for entry in (ROOT.parent / "functions").iterdir())

# What MiniStack lacks. Nothing else is left out, and no line of the Terraform knows of MiniStack.
LEFT_OUT = {
    "ledger": "it has no Aurora global clusters",
    "global_tables": "it accepts MultiRegionConsistency and ignores it, and makes a table in one Region alone",
    "routing": "it has health checks that check nothing, and Route 53's addresses are on the Internet",
    "service": "its load balancer and its tasks need a container runtime",
}

# What a second plan would change, by resource and field, with the reason. Anything else fails.
EXPLAINED = {
    ("aws_vpc_endpoint", "private_dns_enabled"): "endpoints are described without private DNS",
    ("aws_vpc_endpoint", "security_group_ids"): "endpoints are described without their security groups",
}


def say(text):
    print(f"infra-apply-local: {text}", flush=True)


def fail(text):
    say(f"FAILED: {text}")
    sys.exit(1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Emulator:
    """MiniStack on a port of its own, for as long as the block lasts."""

    def __enter__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        env = {
            **os.environ,
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            # The functions inherit it, and talk to the emulator and to nothing else.
            "AWS_ENDPOINT_URL": self.url,
            "TMPDIR": str(WORK),
        }
        log = open(WORK / "ministack.log", "wb")
        self.process = subprocess.Popen([pathlib.Path(sys.executable).parent / "ministack"], env=env, stdout=log, stderr=log)
        for _ in range(60):
            try:
                urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=2).read()
                return self
            except OSError:
                time.sleep(1)
        fail("MiniStack did not start; see ministack.log")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)

    def client(self, service, region):
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, region_name=region, endpoint_url=self.url, **keys)


class Terraform:
    """The root in a copy with a local state."""

    def __init__(self, emulator, variables):
        self.directory = WORK / "infra"
        shutil.copytree(ROOT, self.directory, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        (self.directory / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
        (self.directory / "local.auto.tfvars.json").write_text(json.dumps(variables))
        self.env = {
            **os.environ,
            "AWS_ENDPOINT_URL": emulator.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def run(self, *arguments, allowed=(0,)):
        with open(WORK / "terraform.log", "a") as log:
            log.write(f"\n$ terraform {' '.join(arguments)}\n")
            log.flush()
            done = subprocess.run(["nice", "terraform", *arguments], cwd=self.directory, env=self.env, stdout=log, stderr=log)
        if done.returncode not in allowed:
            tail = (WORK / "terraform.log").read_text().splitlines()[-40:]
            print("\n".join(tail))
            fail(f"terraform {arguments[0]} ended with {done.returncode}")
        return done.returncode

    def json(self, *arguments):
        done = subprocess.run(["terraform", *arguments], cwd=self.directory, env=self.env, capture_output=True, check=True)
        return json.loads(done.stdout)


def pack():
    """Each binary as Lambda wants it: a zip with `bootstrap` in it."""
    zips = WORK / "zips"
    zips.mkdir(exist_ok=True)
    for name in FUNCTIONS:
        binary = BINARIES / name
        if not binary.exists():
            fail(f"there is no {binary}; build it with cargo build --workspace --bins")
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(zips / f"{name}.zip", "w", compresslevel=1) as archive:
            archive.writestr(entry, binary.read_bytes(), compresslevel=1)
    return zips


def configuration():
    """The example, with the emulator's account and its way of addressing buckets."""
    text = (ROOT.parent / "events" / "config.example.json").read_text().replace("123456789012", "000000000000")
    config = json.loads(text)
    config["topology"]["s3_path_style"] = True
    path = WORK / "config.json"
    path.write_text(json.dumps(config))
    return path, config


def apply(emulator, terraform):
    """Applies. The emulator is one process, in which the functions run already: an answer that is late makes the provider
    ask for a role a second time, and it is told that there is one. Such a role is taken away, and the apply goes on."""
    for attempt in range(1, 4):
        begins = len((WORK / "terraform.log").read_text())
        arguments = ("apply", "-auto-approve", "-input=false", "-no-color", "-parallelism=6")
        if terraform.run(*arguments, allowed=(0, 1)) == 0:
            return
        said = (WORK / "terraform.log").read_text()[begins:]
        twice = set(re.findall(r"EntityAlreadyExists: Role with name (\S+) already exists", said))
        errors = said.count("\nError: ")
        if attempt == 3 or not twice or errors != len(twice):
            print(said[-4000:])
            fail(f"terraform apply failed with {errors} errors")
        for role in twice:
            say(f"the answer about {role} was late; it is made again")
            emulator.client("iam", "us-east-1").delete_role(RoleName=role)


def differences(plan):
    """What a plan would change: resource type and field, each with the addresses."""
    found = {}
    for change in plan["resource_changes"]:
        actions = change["change"]["actions"]
        if actions in (["no-op"], ["read"]):
            continue
        if actions != ["update"]:
            found.setdefault((change["type"], "/".join(actions)), []).append(change["address"])
            continue
        before, after = change["change"]["before"], change["change"]["after"]
        for field in after:
            if before.get(field) != after[field]:
                found.setdefault((change["type"], field), []).append(change["address"])
    return found


def second_plan(terraform):
    code = terraform.run("plan", "-input=false", "-no-color", "-detailed-exitcode", "-out=second.tfplan", allowed=(0, 2))
    if code == 0:
        say("a second plan is empty")
        return
    unexplained = 0
    told = set()
    for (kind, field), addresses in sorted(differences(terraform.json("show", "-json", "second.tfplan")).items()):
        reason = EXPLAINED.get((kind, field)) or EXPLAINED.get((kind, "*"))
        if reason is None:
            unexplained += 1
            say(f"  {kind}.{field} differs and nothing explains it: {', '.join(addresses)}")
        elif reason not in told:
            told.add(reason)
            say(f"  {kind}: {reason} ({len(addresses)} resources)")
    if unexplained:
        fail("a second plan would change what it should not")
    say("a second plan changes nothing but what the emulator does not give back")


def alarm(emulator, config):
    """SetAlarmState, SNS, promote-aurora; its answer is the record that it leaves in the coordination table."""
    topology = config["topology"]
    here, peer = topology["data_regions"][1]["region"], topology["data_regions"][0]["region"]
    name = f"holdfast-{peer}-unreachable"
    functions, table = emulator.client("lambda", here), emulator.client("dynamodb", here)
    status = functions.invoke(FunctionName="holdfast-promote-aurora", Qualifier="live", Payload=b'{"action":"status"}')
    answer = status["Payload"].read().decode()
    if status.get("FunctionError"):
        fail(f"promote-aurora does not answer to status: {answer}")
    say(f"promote-aurora in {here} answers to status: {answer[:200]}")
    key = {"pk": {"S": f"cluster#{topology['global_cluster']}"}, "sk": {"S": "state"}}
    if "Item" in table.get_item(TableName=topology["coordination_table"], Key=key):
        fail("there is an incident before there was an alarm")
    emulator.client("cloudwatch", here).set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a rehearsal")
    say(f"alarm {name} is ALARM")
    for _ in range(90):
        time.sleep(1)
        item = table.get_item(TableName=topology["coordination_table"], Key=key).get("Item")
        incident = json.loads(item["body"]["S"])["incident"] if item else None
        if incident and incident["phase"] not in ("Suspected", "Confirmed"):
            break
    else:
        fail("the alarm did not reach promote-aurora within 90 s")
    last = incident["history"][-1]["sentence"]
    say(f"promote-aurora answers: incident e{incident['epoch']}, raised by {incident['raised_by']}: {incident['phase']}: {last}")
    if name not in incident["raised_by"]:
        fail(f"the incident was raised by {incident['raised_by']}, and not by the alarm")
    # Without an Aurora to look at it must not have gone on.
    if incident["phase"] != "Blocked":
        fail(f"the incident is {incident['phase']}, and should be Blocked")


def judged(emulator, terraform, config):
    """The record of the incident, read by a real plan; and what check-plan says of that plan and of one that destroys."""
    topology = config["topology"]
    here, witness = topology["data_regions"][1]["region"], topology["witness"]["region"]
    name = topology["coordination_table"]
    key = {"pk": {"S": f"cluster#{topology['global_cluster']}"}, "sk": {"S": "state"}}
    item = emulator.client("dynamodb", here).get_item(TableName=name, Key=key)["Item"]
    # In an account the table is one over three Regions; here somebody has to carry it over.
    emulator.client("dynamodb", witness).put_item(TableName=name, Item=item)

    def judge(expected, *arguments):
        terraform.run("plan", "-input=false", "-no-color", "-var", "incidents=read", "-out=judged.tfplan", *arguments)
        plan = json.dumps(terraform.json("show", "-json", "judged.tfplan"))
        said = subprocess.run([BINARIES / "check-plan"], input=plan, capture_output=True, text=True)
        first = said.stdout.strip().splitlines()[0:2]
        if said.returncode != expected:
            fail(f"check-plan ended with {said.returncode} and should with {expected}: {said.stdout}")
        say(f"check-plan: {' '.join(it.strip() for it in first)}")

    judge(0)
    judge(1, "-destroy")
    state = json.loads(item["body"]["S"])
    state["freeze"] = {"by": "grace@example.com", "reason": "a rehearsal", "at": "2026-11-24T15:00:00Z"}
    item["body"]["S"] = json.dumps(state)
    emulator.client("dynamodb", witness).put_item(TableName=name, Item=item)
    terraform.run("plan", "-input=false", "-no-color", "-var", "incidents=read", allowed=(1,))
    if "has frozen Holdfast: a rehearsal" not in " ".join((WORK / "terraform.log").read_text().split()):
        fail("a plan under a freeze failed without saying who has frozen Holdfast and why")
    say("a plan under a freeze fails, and says who and why")


def attested(emulator, terraform, topology, item, run):
    """deliver.sh with a plan, while an incident waits to be closed: the deployed promote-aurora remembers a clean one."""
    name, tables = topology["coordination_table"], {}
    for region in [topology["witness"]["region"], topology["data_regions"][1]["region"]]:
        tables[region] = emulator.client("dynamodb", region)
    state = json.loads(item["body"]["S"])
    here = topology["data_regions"][1]["region"]
    state["freeze"], state["incident"]["phase"], state["incident"]["to"] = None, "Reconciling", here
    state["incident"]["history"].append({"phase": "Restored", "at": "2026-11-24T14:08:30Z", "sentence": "a rehearsal"})
    key = {"pk": item["pk"], "sk": item["sk"]}
    before = {region: table.get_item(TableName=name, Key=key)["Item"] for region, table in tables.items()}
    item = {**item, "body": {"S": json.dumps(state)}}
    for table in tables.values():
        table.put_item(TableName=name, Item=item)
    terraform.run("plan", "-input=false", "-no-color", "-var", "incidents=read", "-out=attested.tfplan")
    plan = terraform.json("show", "-json", "attested.tfplan")
    whole, changed = WORK / "plan.json", WORK / "changed.json"
    # What the emulator does not give back was explained by the second plan, and is no change.
    for change in plan["resource_changes"]:
        if change["change"]["actions"] == ["update"]:
            change["change"]["actions"] = ["no-op"]
    whole.write_text(json.dumps(plan))
    plan["resource_changes"][0]["change"]["actions"] = ["delete"]
    changed.write_text(json.dumps(plan))
    incident = f"e{state['incident']['epoch']}"

    def remembered():
        found = tables[here].get_item(TableName=name, Key=key)["Item"]
        return json.loads(found["body"]["S"])["incident"].get("attestations", {})

    run(False, f"plan_clean of {incident} is not attested: the plan changes", changed)
    if remembered():
        fail("a plan that changes something was attested")
    run(False, f"plan_clean of {incident} is attested", whole)
    if "no changes in" not in remembered().get("plan_clean", {}).get("evidence", ""):
        fail(f"the deployed promote-aurora remembers {remembered()}")
    say(f"the deployed promote-aurora remembers of {incident}: {remembered()['plan_clean']['evidence']}")
    for region, table in tables.items():
        table.put_item(TableName=name, Item=before[region])


def deliver(emulator, terraform, config, config_file, zips):
    """deliver.sh while an incident is open, which it refuses, and on a quiet day, when it moves every alias."""
    topology = config["topology"]
    witness, name = topology["witness"]["region"], topology["coordination_table"]
    newer = WORK / "newer"
    newer.mkdir(exist_ok=True)
    for function in FUNCTIONS:
        shutil.copy(zips / f"{function}.zip", newer)
        with zipfile.ZipFile(newer / f"{function}.zip", "a") as archive:
            archive.writestr("note", "the same code in other bytes")
    env = {**terraform.env, "CANARY_SECONDS": "30", "ROLL_OUT_SECONDS": "1", "CHECK_PLAN": str(BINARIES / "check-plan")}
    env["PATH"] = f"{pathlib.Path(sys.executable).parent}:{env['PATH']}"

    def run(expected, word, plan=None):
        given = {**env, "PLAN": str(plan)} if plan else env
        done = subprocess.run([ROOT / "deliver.sh", config_file, newer], env=given, capture_output=True, text=True)
        (WORK / "deliver.log").write_text(done.stdout + done.stderr)
        last = done.stderr.strip().splitlines()[-1]
        if (done.returncode == 0) != expected or word not in done.stderr:
            fail(f"deliver.sh ended with {done.returncode}: {done.stderr[-2000:]}")
        say(f"deliver.sh: {last.removeprefix('deliver: ')}")

    def live():
        versions = {}
        for region in [witness] + [it["region"] for it in topology["data_regions"]]:
            client = emulator.client("lambda", region)
            for function in FUNCTIONS if region != witness else ["observe-region", "page-humans"]:
                alias = client.get_alias(FunctionName=f"holdfast-{function}", Name="live")
                config = client.get_function_configuration(FunctionName=f"holdfast-{function}", Qualifier="live")
                versions[(region, function)] = (alias["FunctionVersion"], config["CodeSha256"])
        return versions

    functions, alarms, struck = emulator.client("lambda", witness), emulator.client("cloudwatch", witness), "holdfast-page-humans-errors"

    def strike():
        """Sets an alarm off as soon as an alias gives a tenth of its runs to another version."""
        for _ in range(600):
            alias = functions.get_alias(FunctionName="holdfast-page-humans", Name="live")
            if alias.get("RoutingConfig", {}).get("AdditionalVersionWeights"):
                alarms.set_alarm_state(AlarmName=struck, StateValue="ALARM", StateReason="a rehearsal")
                return
            time.sleep(1)

    table = emulator.client("dynamodb", witness)
    key = {"pk": {"S": f"cluster#{topology['global_cluster']}"}, "sk": {"S": "state"}}
    item = table.get_item(TableName=name, Key=key)["Item"]
    state = json.loads(item["body"]["S"])
    before = live()
    attested(emulator, terraform, topology, item, run)
    if live() != before:
        fail("a delivery that only attests has moved something")
    for freeze, phase, expected, word in [
        ({"by": "grace", "reason": "a rehearsal"}, "Closed", False, "frozen"),
        (None, "Restored", False, "incident e1 is open"),
        # A function fails while a tenth of the runs is new.
        (None, "Closed", False, "everything runs what it ran before"),
        (None, "Closed", True, "done"),
    ]:
        state["freeze"], state["incident"]["phase"] = freeze, phase
        item["body"]["S"] = json.dumps(state)
        table.put_item(TableName=name, Item=item)
        strikes = word.startswith("everything")
        if strikes:
            threading.Thread(target=strike, daemon=True).start()
        run(expected, word)
        if strikes:
            alarms.set_alarm_state(AlarmName=struck, StateValue="OK", StateReason="a rehearsal")
        if not expected and live() != before:
            fail("a delivery that was refused has moved something")
    after = live()
    for key, (version, digest) in after.items():
        if version == before[key][0]:
            fail(f"{key} still runs version {version}")
        if digest != after[(witness if key[1] in ("observe-region", "page-humans") else topology["data_regions"][0]["region"], key[1])][1]:
            fail(f"{key} runs other bytes than the other Regions")
    say(f"{len(after)} aliases run the same new bytes in every Region")


def empty(emulator, config):
    """Buckets that hold anything are not deleted, by Terraform as by S3; whoever uninstalls empties them."""
    for data in config["topology"]["data_regions"]:
        s3 = emulator.client("s3", data["region"])
        for _ in range(50):
            page = s3.list_object_versions(Bucket=data["receipts_bucket"])
            versions = page.get("Versions", []) + page.get("DeleteMarkers", [])
            if not versions:
                break
            for it in versions:
                s3.delete_object(Bucket=data["receipts_bucket"], Key=it["Key"], VersionId=it["VersionId"])


def main():
    config_file, config = configuration()
    zips = pack()
    for what, why in LEFT_OUT.items():
        say(f"left out: {what}, because {why}")
    variables = {
        "config_file": str(config_file),
        "zips": str(zips),
        "architecture": "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64",
        "people": {"email": ["oncall@example.com"]},
        "service_domain": "payments.example.com",
        "hosted_zone": "example.com",
        "service_image": "example.com/payments:1",
        "incidents": "none-yet",
        "tables_deletable": True,
        "left_out": list(LEFT_OUT),
    }
    with Emulator() as emulator:
        terraform = Terraform(emulator, variables)
        terraform.run("init", "-input=false", "-no-color")
        began = time.monotonic()
        apply(emulator, terraform)
        count = sum(it["mode"] == "managed" for it in walk(terraform.json("show", "-json")["values"]["root_module"]))
        say(f"applied {count} resources in {time.monotonic() - began:.0f} s")
        second_plan(terraform)
        alarm(emulator, config)
        judged(emulator, terraform, config)
        deliver(emulator, terraform, config, config_file, zips)
        # Functions that still run would write into what is being deleted.
        for region in {it["region"] for it in config["topology"]["data_regions"]}:
            events = emulator.client("events", region)
            for rule in events.list_rules(NamePrefix="holdfast-")["Rules"]:
                events.disable_rule(Name=rule["Name"])
        time.sleep(5)
        empty(emulator, config)
        terraform.run("destroy", "-auto-approve", "-input=false", "-no-color", "-parallelism=6")
        left = subprocess.run(["terraform", "state", "list"], cwd=terraform.directory, env=terraform.env, capture_output=True, text=True)
        if left.stdout.strip():
            fail(f"destroy left {left.stdout}")
        say("destroyed everything")
    say("all of it holds")


def walk(module):
    """Every resource of a module and of its children."""
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from walk(child)


main()
