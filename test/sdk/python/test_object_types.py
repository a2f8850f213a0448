"""Profile object types: their life, their rules, templates, and what is detected in objects."""
import pytest

FIELDS = {"id": {"Source": "_source.id"},
          "email": {"Source": "_source.customer.email", "Target": "_profile.EmailAddress", "ContentType": "EMAIL_ADDRESS"},
          "total": {"Source": "_source.total", "Target": "_order.TotalPrice", "ContentType": "NUMBER"}}
KEYS = {"purchaseId": [{"StandardIdentifiers": ["UNIQUE", "ORDER"], "FieldNames": ["id"]}],
        "_email": [{"StandardIdentifiers": ["PROFILE"], "FieldNames": ["email"]}]}


def put(client, domain, name="purchase", **more):
    return client.put_profile_object_type(DomainName=domain, ObjectTypeName=name, **{"Description": "A purchase", "Fields": FIELDS, "Keys": KEYS, **more})


def body(answer):
    return {k: v for k, v in answer.items() if k != "ResponseMetadata"}


def test_life_of_a_type(client, domain):
    name = dict(DomainName=domain, ObjectTypeName="purchase")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_profile_object_type(**name)
    made = put(client, domain, AllowProfileCreation=True, ExpirationDays=30, MaxProfileObjectCount=50, SourcePriority=2,
               SourceLastUpdatedTimestampFormat="EpochMilli", EncryptionKey="key", Tags={"team": "crm"})
    assert made["Fields"] == FIELDS and made["Keys"] == KEYS and made["AllowProfileCreation"] is True
    assert (made["ExpirationDays"], made["MaxProfileObjectCount"], made["SourcePriority"]) == (30, 50, 2)
    assert made["MaxAvailableProfileObjectCount"] == 1000
    assert body(client.get_profile_object_type(**name)) == body(made)

    changed = put(client, domain, Description="Another", Tags={"other": "x"})
    assert changed["CreatedAt"] == made["CreatedAt"] < changed["LastUpdatedAt"]
    assert changed["AllowProfileCreation"] is False and changed["Tags"] == {"team": "crm"}
    assert not {"ExpirationDays", "MaxProfileObjectCount", "SourcePriority", "SourceLastUpdatedTimestampFormat", "EncryptionKey"} & set(changed)
    assert body(client.get_profile_object_type(**name)) == body(changed)

    assert client.delete_profile_object_type(**name)["Message"] == "Deleted"
    for call in (client.get_profile_object_type, client.delete_profile_object_type):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call(**name)
