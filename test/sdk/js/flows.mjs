// The main flows through the AWS SDK for JavaScript v3. sdk_test.go starts the servers and says where they are; each step is printed.
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import * as cp from "@aws-sdk/client-customer-profiles";

const env = process.env;

function client(endpoint = env.KITH_TEST_ENDPOINT, accessKeyId = env.KITH_TEST_KEY, secretAccessKey = env.KITH_TEST_SECRET) {
  return new cp.CustomerProfilesClient({ endpoint, region: "us-east-1", maxAttempts: 1, credentials: { accessKeyId, secretAccessKey } });
}

const server = client();
const send = (Command, input) => server.send(new Command(input));
const DomainName = "js-" + randomUUID().slice(0, 12);

/** refused asserts that a call is refused with a class of exception. */
async function refused(what, call, Exception) {
  await assert.rejects(call, (e) => {
    assert.ok(e instanceof Exception, `${what}: got ${e.name} "${e.message}", want ${Exception.name}`);
    assert.ok(e.message && e.$metadata.requestId, `${what}: no message or no request id`);
    return true;
  });
}

async function search(KeyName, ...Values) {
  return (await send(cp.SearchProfilesCommand, { DomainName, KeyName, Values })).Items;
}

const steps = {
  async domain() {
    const made = await send(cp.CreateDomainCommand, { DomainName, DefaultExpirationDays: 30, Tags: { team: "a" } });
    assert.equal(made.DefaultExpirationDays, 30);
    assert.ok(made.CreatedAt instanceof Date);
    await send(cp.UpdateDomainCommand, { DomainName, DefaultExpirationDays: 31 });
    const got = await send(cp.GetDomainCommand, { DomainName });
    assert.equal(got.DefaultExpirationDays, 31);
    assert.deepEqual(got.Tags, { team: "a" });
    const names = (await send(cp.ListDomainsCommand, {})).Items.map((d) => d.DomainName);
    assert.ok(names.includes(DomainName));
  },

  async tags() {
    const resourceArn = `arn:aws:profile:us-east-1:000000000000:domains/${DomainName}`;
    await send(cp.TagResourceCommand, { resourceArn, tags: { env: "test" } });
    await send(cp.UntagResourceCommand, { resourceArn, tagKeys: ["team"] });
    assert.deepEqual((await send(cp.ListTagsForResourceCommand, { resourceArn })).tags, { env: "test" });
  },

  async objectType() {
    const made = await send(cp.PutProfileObjectTypeCommand, {
      DomainName, ObjectTypeName: "crm", Description: "customers", AllowProfileCreation: true,
      Fields: {
        id: { Source: "_source.id" }, first: { Source: "_source.first", Target: "_profile.FirstName" },
        email: { Source: "_source.email", Target: "_profile.EmailAddress", ContentType: "EMAIL_ADDRESS" },
      },
      Keys: {
        crmId: [{ StandardIdentifiers: ["UNIQUE", "PROFILE"], FieldNames: ["id"] }],
        crmEmail: [{ StandardIdentifiers: ["PROFILE", "SECONDARY"], FieldNames: ["email"] }],
      },
    });
    assert.equal(made.ObjectTypeName, "crm");
    const types = (await send(cp.ListProfileObjectTypesCommand, { DomainName })).Items.map((t) => t.ObjectTypeName);
    assert.deepEqual(types, ["crm"]);
    await send(cp.PutIntegrationCommand, { DomainName, Uri: "arn:aws:appflow:us-east-1:000000000000:flow/js", ObjectTypeName: "crm" });
    assert.equal((await send(cp.ListIntegrationsCommand, { DomainName })).Items.length, 1);
  },

  async values() {
    for (const v of ["null", "  x\t", "👩‍👩‍👧", "\u202bשלום\u202c", "𝄞".repeat(255)]) {
      const { ProfileId } = await send(cp.CreateProfileCommand, { DomainName, LastName: v, Attributes: { v } });
      const [got] = await search("_profileId", ProfileId);
      assert.equal(got.LastName, v);
      assert.equal(got.Attributes.v, v);
    }
  },

  async profiles() {
    const EmailAddress = "Ada@Example.com";
    const { ProfileId } = await send(cp.CreateProfileCommand, { DomainName, FirstName: "Ada", EmailAddress, PhoneNumber: "(206)-555-0100", Address: { City: "London" } });
    for (const [key, value] of [["_email", "ada@example.com"], ["_phone", "+12065550100"]]) {
      assert.deepEqual((await search(key, value)).map((p) => p.ProfileId), [ProfileId]);
    }
    await send(cp.UpdateProfileCommand, { DomainName, ProfileId, FirstName: "", LastName: "King", Address: { PostalCode: "W1" } });
    const batch = await send(cp.BatchGetProfileCommand, { DomainName, ProfileIds: [ProfileId, "ab".repeat(16)] });
    assert.equal(batch.Profiles[0].FirstName, undefined);
    assert.deepEqual(batch.Profiles[0].Address, { City: "London", PostalCode: "W1" });
    assert.equal(batch.Errors[0].ProfileId, "ab".repeat(16));
    await send(cp.AddProfileKeyCommand, { DomainName, ProfileId, KeyName: "_ctrContactId", Values: ["c-1"] });
    assert.equal((await search("_ctrContactId", "c-1")).length, 1);
    await send(cp.DeleteProfileKeyCommand, { DomainName, ProfileId, KeyName: "_ctrContactId", Values: ["c-1"] });
    assert.equal((await search("_ctrContactId", "c-1")).length, 0);
  },

  async objects() {
    const Object = JSON.stringify({ id: "1", first: "Grace", email: "grace@example.com", note: "ünïcode" });
    const { ProfileObjectUniqueKey } = await send(cp.PutProfileObjectCommand, { DomainName, ObjectTypeName: "crm", Object });
    const [person] = await search("crmId", "1");
    assert.equal(person.FirstName, "Grace");
    const { Items } = await send(cp.ListProfileObjectsCommand, { DomainName, ObjectTypeName: "crm", ProfileId: person.ProfileId });
    assert.deepEqual(Items, [{ ObjectTypeName: "crm", ProfileObjectUniqueKey, Object }]);
    await send(cp.PutProfileObjectCommand, { DomainName, ObjectTypeName: "crm", Object: `{"id": "2", "email": "GRACE@example.com"}` });
    await send(cp.DeleteProfileObjectCommand, { DomainName, ObjectTypeName: "crm", ProfileId: person.ProfileId, ProfileObjectUniqueKey });
    assert.equal((await send(cp.ListProfileObjectsCommand, { DomainName, ObjectTypeName: "crm", ProfileId: person.ProfileId })).Items.length, 1);
  },

  async merge() {
    const main = (await send(cp.CreateProfileCommand, { DomainName, FirstName: "Ann" })).ProfileId;
    const other = (await send(cp.CreateProfileCommand, { DomainName, LastName: "Lee", AccountNumber: "js-7" })).ProfileId;
    await send(cp.MergeProfilesCommand, { DomainName, MainProfileId: main, ProfileIdsToBeMerged: [other] });
    const [got] = await search("_account", "js-7");
    assert.deepEqual([got.ProfileId, got.FirstName, got.LastName], [main, "Ann", "Lee"]);
    const history = (await send(cp.ListProfileHistoryRecordsCommand, { DomainName, ProfileId: main, ActionType: "MERGED" })).ProfileHistoryRecords;
    assert.equal(history.length, 1);
    assert.ok(history[0].CreatedAt instanceof Date);
    await send(cp.DeleteProfileCommand, { DomainName, ProfileId: main });
    assert.equal((await search("_account", "js-7")).length, 0);
  },

  async upload() {
    const { JobId } = await send(cp.CreateUploadJobCommand, {
      DomainName, DisplayName: "people.csv", UniqueKey: "id",
      Fields: { id: { Source: "_source.id", Target: "_profile.AccountNumber" }, name: { Source: "_source.name", Target: "_profile.FirstName" } },
    });
    const { Url, ClientToken } = await send(cp.GetUploadJobPathCommand, { DomainName, JobId });
    const put = await fetch(Url, {
      method: "PUT", body: "id,name\n1,Ada\n2,Ben\n",
      headers: {
        "x-amz-server-side-encryption-customer-algorithm": "AES256", "x-amz-server-side-encryption-customer-key": ClientToken,
        "x-amz-server-side-encryption-customer-key-MD5": createHash("md5").update(Buffer.from(ClientToken, "base64")).digest("base64"),
      },
    });
    assert.equal(put.status, 200, await put.text());
    await send(cp.StartUploadJobCommand, { DomainName, JobId });
    let job;
    do {
      job = await send(cp.GetUploadJobCommand, { DomainName, JobId });
    } while (job.Status === "IN_PROGRESS");
    assert.equal(job.Status, "SUCCEEDED");
    assert.deepEqual(job.ResultsSummary, { CreatedRecords: 2, UpdatedRecords: 0, FailedRecords: 0 });
    const jobs = [];
    for await (const page of cp.paginateListUploadJobs({ client: server, pageSize: 1 }, { DomainName })) jobs.push(...page.Items);
    assert.deepEqual(jobs.map((j) => j.JobId), [JobId]);
  },

  async exceptions() {
    await refused("a domain that exists", send(cp.CreateDomainCommand, { DomainName, DefaultExpirationDays: 30 }), cp.BadRequestException);
    await refused("an unknown domain", send(cp.GetDomainCommand, { DomainName: "unknown" }), cp.ResourceNotFoundException);
    const { JobId } = await send(cp.CreateUploadJobCommand, { DomainName, DisplayName: "x", UniqueKey: "id", Fields: { id: { Source: "_source.id" } } });
    const path = new cp.GetUploadJobPathCommand({ DomainName, JobId });
    await refused("a denied call", client(undefined, env.KITH_TEST_LIMITED_KEY, env.KITH_TEST_LIMITED_SECRET).send(path), cp.AccessDeniedException);
    const throttled = client(env.KITH_TEST_THROTTLED_ENDPOINT);
    await refused("one call too many", (async () => {
      for (let i = 0; i < 20; i++) await throttled.send(path).catch((e) => { if (!(e instanceof cp.ResourceNotFoundException)) throw e; });
    })(), cp.ThrottlingException);
    await refused("a broken store", client(env.KITH_TEST_FAULTY_ENDPOINT).send(new cp.GetDomainCommand({ DomainName })), cp.InternalServerException);
  },

  async removal() {
    await send(cp.DeleteDomainCommand, { DomainName });
    await refused("the domain that was", send(cp.GetDomainCommand, { DomainName }), cp.ResourceNotFoundException);
  },
};

for (const [name, step] of Object.entries(steps)) {
  await step();
  console.log("ok", name);
}
