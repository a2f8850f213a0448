"""The main flows through the AWS CLI, in this process: its own start takes longer than all calls together."""
import json
import os
import uuid

import pytest
from awscli.clidriver import create_clidriver


@pytest.fixture
def aws(endpoint, capfd, monkeypatch):
    """aws(command, option=value, ...) runs the CLI and returns what it printed, parsed; a refusal's text if it is refused."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", os.environ["KITH_TEST_KEY"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", os.environ["KITH_TEST_SECRET"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_PAGER", "")
    driver = create_clidriver()

    def run(command, refused=False, **options):
        args = ["--endpoint-url", endpoint, "--output", "json", "customer-profiles", command]
        for name, value in options.items():
            args += ["--" + name.replace("_", "-")]
            if value is not True:
                args += [value if isinstance(value, str) else json.dumps(value)]
        code = driver.main(args)
        out, err = capfd.readouterr()
        assert (code != 0) == refused, err
        return err if refused else json.loads(out or "{}")

    return run


@pytest.fixture
def cli_domain(aws):
    name = "cli-" + uuid.uuid4().hex[:12]
    aws("create-domain", domain_name=name, default_expiration_days="30", tags={"team": "a"})
    yield name
    aws("delete-domain", domain_name=name)
    assert "ResourceNotFoundException" in aws("get-domain", refused=True, domain_name=name)


def test_domains_and_tags(aws, cli_domain):
    assert "(BadRequestException)" in aws("create-domain", refused=True, domain_name=cli_domain, default_expiration_days="30")
    aws("update-domain", domain_name=cli_domain, default_expiration_days="31")
    assert aws("get-domain", domain_name=cli_domain)["DefaultExpirationDays"] == 31
    arn = "arn:aws:profile:us-east-1:000000000000:domains/" + cli_domain
    aws("tag-resource", resource_arn=arn, tags="env=test")
    assert aws("list-tags-for-resource", resource_arn=arn)["tags"] == {"team": "a", "env": "test"}


@pytest.mark.parametrize("value", ["null", "  x\t", "👩‍👩‍👧", "\u202bשלום\u202c", "𝄞" * 255])
def test_values_come_back(aws, cli_domain, value):
    made = aws("create-profile", domain_name=cli_domain, last_name=value, attributes={"v": value})["ProfileId"]
    (got,) = aws("search-profiles", domain_name=cli_domain, key_name="_profileId", values=made)["Items"]
    assert (got["LastName"], got["Attributes"]) == (value, {"v": value})


def test_profiles_objects_and_merge(aws, cli_domain):
    aws(
        "put-profile-object-type", domain_name=cli_domain, object_type_name="crm", description="customers", allow_profile_creation=True,
        fields={"id": {"Source": "_source.id"}, "first": {"Source": "_source.first", "Target": "_profile.FirstName"}},
        keys={"crmId": [{"StandardIdentifiers": ["UNIQUE", "PROFILE"], "FieldNames": ["id"]}]},
    )
    document = json.dumps({"id": "1", "first": "Grace", "note": "ünïcode"}, ensure_ascii=False)
    key = aws("put-profile-object", domain_name=cli_domain, object_type_name="crm", object=document)["ProfileObjectUniqueKey"]
    (grace,) = aws("search-profiles", domain_name=cli_domain, key_name="crmId", values="1")["Items"]
    assert grace["FirstName"] == "Grace"
    listed = aws("list-profile-objects", domain_name=cli_domain, object_type_name="crm", profile_id=grace["ProfileId"])["Items"]
    assert listed == [{"ObjectTypeName": "crm", "ProfileObjectUniqueKey": key, "Object": document}]
    batch = aws("batch-put-profile-object", domain_name=cli_domain, object_type_name="crm",
                items=[{"Id": "good", "Object": '{"id": "2"}'}, {"Id": "bad", "Object": "{"}])
    assert [i["Id"] for i in batch["Successful"]] == ["good"]
    assert [(i["Id"], i["Code"]) for i in batch["Failed"]] == [("bad", 400)]

    ada = aws("create-profile", domain_name=cli_domain, last_name="King", email_address="Ada@Example.com")["ProfileId"]
    aws("update-profile", domain_name=cli_domain, profile_id=ada, address="City=London")
    aws("merge-profiles", domain_name=cli_domain, main_profile_id=ada, profile_ids_to_be_merged=[grace["ProfileId"]])
    for name, value in (("crmId", "1"), ("_email", "ada@example.com")):
        (got,) = aws("search-profiles", domain_name=cli_domain, key_name=name, values=value)["Items"]
        assert (got["ProfileId"], got["FirstName"], got["LastName"], got["Address"]) == (ada, "Grace", "King", {"City": "London"})
    assert "(BadRequestException)" in aws("update-profile", refused=True, domain_name=cli_domain, profile_id="nobody")
    assert "(ResourceNotFoundException)" in aws("delete-profile", refused=True, domain_name=cli_domain, profile_id=grace["ProfileId"])
