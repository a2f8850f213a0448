"""STS GetCallerIdentity on the endpoint of the API, for tools that ask who they are."""
import json
import os
import subprocess
import sys

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

KEY = os.environ.get("KITH_TEST_KEY", "")


def sts(endpoint, key=None, secret=None, region="us-east-1"):
    return boto3.client(
        "sts", endpoint_url=endpoint, region_name=region, aws_access_key_id=key or KEY,
        aws_secret_access_key=secret or os.environ["KITH_TEST_SECRET"], config=Config(retries={"max_attempts": 0}))


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_who_am_i(endpoint, region):
    got = sts(endpoint, region=region).get_caller_identity()
    assert (got["Account"], got["UserId"], got["Arn"]) == ("000000000000", KEY, "arn:aws:iam::000000000000:user/" + KEY)
    assert got["ResponseMetadata"]["RequestId"]


def test_a_key_that_may_do_little_may_ask_too(endpoint):
    key, secret = os.environ["KITH_TEST_LIMITED_KEY"], os.environ["KITH_TEST_LIMITED_SECRET"]
    assert sts(endpoint, key, secret).get_caller_identity()["UserId"] == key


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_pre_signed_question(endpoint, method):
    url = sts(endpoint).generate_presigned_url("get_caller_identity", HttpMethod=method)
    answer = requests.request(method, url, timeout=30)
    assert answer.status_code == 200 and KEY in answer.text and answer.headers["Content-Type"] == "text/xml"
    assert requests.request(method, url.replace("Signature=", "Signature=0"), timeout=30).status_code == 403


@pytest.mark.parametrize("key, secret, code", [("KITHNOBODY", None, "InvalidClientTokenId"), (None, "wrong", "SignatureDoesNotMatch")])
def test_who_is_nobody(endpoint, key, secret, code):
    with pytest.raises(ClientError) as e:
        sts(endpoint, key, secret).get_caller_identity()
    assert e.value.response["Error"]["Code"] == code and e.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_other_actions(endpoint):
    for call in (lambda c: c.get_session_token(), lambda c: c.assume_role(RoleArn="arn:aws:iam::000000000000:role/some-role", RoleSessionName="ab")):
        with pytest.raises(ClientError) as e:
            call(sts(endpoint))
        assert e.value.response["Error"]["Code"] == "InvalidAction" and "GetCallerIdentity" in e.value.response["Error"]["Message"]


@pytest.mark.parametrize("service, call", [("iam", lambda c: c.get_user()), ("s3", lambda c: c.list_buckets()), ("sqs", lambda c: c.list_queues())])
def test_other_services(endpoint, service, call):
    client = boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=KEY,
                          aws_secret_access_key=os.environ["KITH_TEST_SECRET"], config=Config(retries={"max_attempts": 0}))
    with pytest.raises(ClientError) as e:
        call(client)
    assert e.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_the_command_line_of_aws(endpoint):
    out = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "aws"), "--endpoint-url", endpoint, "--output", "json", "sts", "get-caller-identity"],
        env={**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": os.environ["KITH_TEST_SECRET"], "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True, text=True, timeout=120, check=True).stdout
    assert json.loads(out)["Account"] == "000000000000"
