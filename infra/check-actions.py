"""Every IAM action that the Terraform names exists, by the Service Authorization Reference that comes with checkov.

A mistyped action in a policy is no error anywhere: it allows nothing, and one day something is missing.
"""

import pathlib
import re
import sys

from policy_sentry.querying.actions import get_action_data

SERVICES = (
    "application-autoscaling|cloudformation|cloudwatch|dynamodb|ec2|ecs|elasticloadbalancing|events|iam|kms|lambda|logs"
    "|rds|rds-db|route53|s3|secretsmanager|servicequotas|sns|sqs|ssm|states|sts"
)
# Keys of conditions look like actions.
CONDITION_KEYS = {"dynamodb:LeadingKeys", "iam:PassedToService", "kms:ViaService", "lambda:SourceFunctionArn"}

unknown, known = set(), 0
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.tf")):
    for action in set(re.findall(rf'"((?:{SERVICES}):[A-Za-z]+)"', path.read_text())) - CONDITION_KEYS:
        service, name = action.split(":")
        if get_action_data(service, name):
            known += 1
        else:
            unknown.add(f"{path.name}: {action}")
if unknown or known < 50:
    sys.exit(f"infra-check: of {known} actions these do not exist: {', '.join(sorted(unknown))}")
