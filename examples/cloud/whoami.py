"""Says who one is at AWS, as often as it is asked for: with as=aws-endpoint the SDK asks with-creds again before its keys end, so that this could run for days.

    with-creds -c 'vault:aws/sts/deploy?ttl=15m&region=us-east-1 as=aws-endpoint' -- "${PYTHON:-python3}" examples/cloud/whoami.py 3
"""

import sys

import boto3

sts = boto3.client("sts")
for _ in range(int(sys.argv[1])):
    print(sts.get_caller_identity()["Arn"])
