// SPDX-License-Identifier: Apache-2.0
// The official JavaScript SDK, unmodified, and the standardwebhooks verifier. Run by test_sdk_js.py, which gives the
// server's address and a token and checks each case by its name.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";

import { Webhook as StandardWebhook } from "standardwebhooks";
import { ApiException, Svix, Webhook, WebhookVerificationError, messageInRaw } from "svix";

const SERVER = process.env.POSTHORN_TEST_URL;
const TOKEN = process.env.POSTHORN_TEST_TOKEN;
const EMPTY_ORG_TOKEN = process.env.POSTHORN_TEST_EMPTY_ORG_TOKEN;

let svix;
let receiver;
let base;
let number = 0;
const requests = [];
const replies = new Map();

before(async () => {
  svix = new Svix(TOKEN, { serverUrl: SERVER, requestTimeout: 60000 });
  receiver = http.createServer((request, response) => {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => {
      const body = Buffer.concat(pieces);
      requests.push({ path: request.url, headers: request.headers, body });
      const [status, text] = replies.get(request.url)?.shift() ?? [200, "ok"];
      response.writeHead(status).end(text);
    });
  });
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${receiver.address().port}`;
});

after(() => {
  receiver.closeAllConnections();
  receiver.close();
});

const unique = (word) => `${word}-js-${++number}`;

/** The first true result of an asynchronous condition. */
async function waitFor(condition, what) {
  const deadline = Date.now() + 30000;
  for (;;) {
    const value = await condition();
    if (value) {
      return value;
    }
    assert.ok(Date.now() < deadline, `did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const delivered = (message) =>
  waitFor(() => requests.find((r) => r.headers["webhook-id"] === message.id), `delivery of ${message.id}`);

async function appWithEndpoint(path = `/${unique("hook")}`) {
  const app = await svix.application.create({ name: "JS" });
  const endpoint = await svix.endpoint.create(app.id, { url: base + path });
  return { app, endpoint, path };
}

async function fails(promise, code) {
  const error = await promise.then(
    () => assert.fail("it should have failed"),
    (reason) => reason
  );
  assert.ok(error instanceof ApiException, String(error));
  assert.equal(error.code, code);
  return error.body;
}

test("health", async () => {
  await svix.health.get();
});

test("application", async () => {
  const uid = unique("app");
  const app = await svix.application.create({ name: "One", uid, metadata: { k: "v" }, throttleRate: 9 });
  assert.match(app.id, /^app_[0-9A-Za-z]{27}$/);
  assert.deepEqual([app.name, app.uid, app.metadata, app.throttleRate], ["One", uid, { k: "v" }, 9]);
  assert.ok(app.createdAt instanceof Date && !Number.isNaN(app.createdAt.getTime()));
  assert.deepEqual(await svix.application.get(uid), app);
  assert.deepEqual(await svix.application.getOrCreate({ name: "Other", uid }), app);
  assert.equal((await svix.application.patch(app.id, { name: "Two" })).name, "Two");
  assert.equal((await svix.application.upsert(app.id, { name: "Three", uid })).name, "Three");
  await svix.application.delete(app.id);
  assert.equal((await fails(svix.application.get(app.id), 404)).code, "not_found");
});

test("application list and iterator", async () => {
  const empty = new Svix(EMPTY_ORG_TOKEN, { serverUrl: SERVER });
  assert.deepEqual((await empty.application.list()).data, []);
  const made = [];
  for (let n = 0; n < 5; n++) {
    made.push((await empty.application.create({ name: String(n) })).id);
  }
  const seen = [];
  let page = { iterator: undefined, done: false };
  while (!page.done) {
    page = await empty.application.list({ limit: 2, iterator: page.iterator });
    seen.push(...page.data.map((app) => app.id));
  }
  assert.deepEqual(seen, made);
  const newest = await empty.application.list({ limit: 2, order: "descending" });
  assert.deepEqual(newest.data.map((app) => app.id), made.slice(-2).reverse());
});

test("event type", async () => {
  const name = unique("kind");
  const made = await svix.eventType.create({ name, description: "d", schemas: { 1: { type: "object" } } });
  assert.deepEqual([made.name, made.description, made.archived], [name, "d", false]);
  assert.deepEqual((await svix.eventType.get(name)).schemas, { 1: { type: "object" } });
  const listed = await svix.eventType.list({ limit: 250, withContent: true });
  assert.ok(listed.data.some((row) => row.name === name));
  assert.equal((await svix.eventType.patch(name, { description: "e" })).description, "e");
  assert.equal((await svix.eventType.upsert(name, { description: "f" })).description, "f");
  assert.equal((await fails(svix.eventType.create({ name, description: "" }), 409)).code, "event_type_exists");
  await svix.eventType.delete(name, { expunge: true });
  await fails(svix.eventType.get(name), 404);
});

test("endpoint", async () => {
  const app = await svix.application.create({ name: "JS" });
  const kind = (await svix.eventType.create({ name: unique("kind"), description: "" })).name;
  const uid = unique("ep");
  const endpoint = await svix.endpoint.create(app.id, {
    url: "http://example.com/x",
    uid,
    description: "d",
    eventTypes: [kind],
    channels: ["a"],
    metadata: { k: "v" },
  });
  assert.deepEqual([endpoint.eventTypes, endpoint.channels, endpoint.uid], [[kind], ["a"], uid]);
  assert.deepEqual(await svix.endpoint.get(app.id, uid), endpoint);
  assert.equal((await svix.endpoint.patch(app.id, uid, { disabled: true })).disabled, true);
  assert.equal((await svix.endpoint.upsert(app.id, uid, { url: "http://example.com/y" })).url, "http://example.com/y");
  assert.deepEqual((await svix.endpoint.list(app.id, { limit: 5 })).data.map((e) => e.id), [endpoint.id]);
  await svix.endpoint.delete(app.id, endpoint.id);
  assert.deepEqual((await svix.endpoint.list(app.id)).data, []);
});

test("endpoint headers", async () => {
  const { app, endpoint } = await appWithEndpoint();
  await svix.endpoint.setHeaders(app.id, endpoint.id, { headers: { "X-One": "1", "X-Two": "2" } });
  await svix.endpoint.patchHeaders(app.id, endpoint.id, { headers: { "X-Three": "3" }, deleteHeaders: ["X-Two"] });
  const got = await svix.endpoint.getHeaders(app.id, endpoint.id);
  assert.deepEqual([got.headers, got.sensitive], [{ "X-One": "1", "X-Three": "3" }, []]);
  const message = await svix.message.create(app.id, { eventType: "a", payload: {} });
  const { headers } = await delivered(message);
  assert.deepEqual([headers["x-one"], headers["x-two"], headers["x-three"]], ["1", undefined, "3"]);
});

test("secrets verify during the overlap", async () => {
  const { app, endpoint } = await appWithEndpoint();
  const first = (await svix.endpoint.getSecret(app.id, endpoint.id)).key;
  await svix.endpoint.rotateSecret(app.id, endpoint.id, { gracePeriodSeconds: 600 });
  const second = (await svix.endpoint.getSecret(app.id, endpoint.id)).key;
  assert.notEqual(first, second);
  const payload = { b: 1, a: { "ü": "✓" } };
  const { body, headers } = await delivered(await svix.message.create(app.id, { eventType: "a", payload }));
  assert.equal(body.toString(), JSON.stringify(payload));
  for (const key of [first, second]) {
    new Webhook(key).verify(body, headers);
    assert.deepEqual(new StandardWebhook(key).verify(body, headers), payload);
  }
  const foreign = `whsec_${Buffer.alloc(24, 7).toString("base64")}`;
  assert.throws(() => new Webhook(foreign).verify(body, headers), WebhookVerificationError);
  assert.throws(() => new StandardWebhook(second).verify(`${body} `, headers), WebhookVerificationError);
});

test("message", async () => {
  const app = await svix.application.create({ name: "JS" });
  const eventId = unique("event");
  const payload = { runId: "918", list: [1, null, true, 2.5] };
  const message = await svix.message.create(app.id, { eventType: "job.done", payload, eventId, channels: ["c"] });
  assert.match(message.id, /^msg_[0-9A-Za-z]{27}$/);
  assert.deepEqual([message.payload, message.eventId, message.channels], [{}, eventId, ["c"]]);
  assert.deepEqual((await svix.message.get(app.id, eventId, { withContent: true })).payload, payload);
  await svix.message.create(app.id, { eventType: "other", payload });
  const listed = await svix.message.list(app.id, { eventTypes: ["job.done", "x"], withContent: true });
  assert.deepEqual(listed.data.map((row) => [row.id, row.payload]), [[message.id, payload]]);
  const hour = 3600 * 1000;
  assert.equal((await svix.message.list(app.id, { after: new Date(Date.now() - hour) })).data.length, 2);
  assert.equal((await svix.message.list(app.id, { before: new Date(Date.now() - hour) })).data.length, 0);
  await fails(svix.message.create(app.id, { eventType: "job.done", payload, eventId }), 409);
});

test("raw message", async () => {
  const { app, endpoint } = await appWithEndpoint();
  const message = await svix.message.create(app.id, messageInRaw("raw.type", "just <text>"));
  const { body, headers } = await delivered(message);
  assert.equal(body.toString(), "just <text>");
  new Webhook((await svix.endpoint.getSecret(app.id, endpoint.id)).key).verify(body, headers);
});

test("message attempts", async () => {
  const { app, endpoint, path } = await appWithEndpoint();
  replies.set(path, [[500, "not now"], [200, "thanks"]]);
  const message = await svix.message.create(app.id, { eventType: "a", payload: { n: 1 } });
  const list = (count) =>
    waitFor(async () => {
      const { data } = await svix.messageAttempt.listByMsg(app.id, message.id, { withContent: true });
      return data.length >= count && data;
    }, `${count} attempts`);
  const [second, first] = await list(2);
  assert.deepEqual([first.status, first.statusText, first.response], [2, "fail", "not now"]);
  assert.deepEqual([second.status, second.responseStatusCode, second.response], [0, 200, "thanks"]);
  assert.deepEqual([second.msgId, second.endpointId, second.triggerType], [message.id, endpoint.id, 0]);
  const good = await svix.messageAttempt.listByEndpoint(app.id, endpoint.id, { status: 0, withMsg: true });
  assert.deepEqual(good.data.map((row) => [row.id, row.msg.id]), [[second.id, message.id]]);
  assert.equal((await svix.messageAttempt.get(app.id, message.id, first.id)).responseStatusCode, 500);
  const [attempted] = (await svix.messageAttempt.listAttemptedMessages(app.id, endpoint.id)).data;
  assert.deepEqual([attempted.id, attempted.status], [message.id, 0]);
  const [destination] = (await svix.messageAttempt.listAttemptedDestinations(app.id, message.id)).data;
  assert.deepEqual([destination.id, destination.status], [endpoint.id, 0]);
  await svix.messageAttempt.resend(app.id, message.id, endpoint.id);
  assert.equal((await list(3))[0].triggerType, 1);
});

test("idempotency key", async () => {
  const { app } = await appWithEndpoint();
  const idempotencyKey = unique("key");
  const body = { eventType: "a", payload: {} };
  const first = await svix.message.create(app.id, body, { idempotencyKey });
  const second = await svix.message.create(app.id, body, { idempotencyKey });
  assert.equal(first.id, second.id);
  assert.equal((await svix.message.list(app.id)).data.length, 1);
});

test("errors", async () => {
  const invalid = await fails(svix.application.create({ name: "" }), 422);
  assert.deepEqual(invalid.detail[0].loc.slice(0, 2), ["body", "name"]);
  const nobody = new Svix("nonsense", { serverUrl: SERVER });
  assert.equal((await fails(nobody.application.list(), 401)).code, "authentication_failed");
  assert.equal((await fails(svix.message.create("nobody", { eventType: "a", payload: {} }), 404)).code, "not_found");
});

const finished = (task) =>
  waitFor(async () => {
    const now = await svix.backgroundTask.get(task.id);
    return now.status !== "running" && now;
  }, `the end of ${task.id}`);

test("recover, replay and background tasks", async () => {
  const { app, endpoint, path } = await appWithEndpoint();
  replies.set(path, Array.from({ length: 3 }, () => [500, "no"]));
  const since = new Date(Date.now() - 60000);
  const message = await svix.message.create(app.id, { eventType: "a.b", payload: {} });
  await waitFor(() => requests.filter((r) => r.path === path).length === 3, "all attempts");
  const task = await svix.endpoint.recover(app.id, endpoint.id, { since });
  assert.equal(task.task, "endpoint.recover");
  assert.equal((await finished(task)).status, "finished");
  await waitFor(() => requests.filter((r) => r.path === path).length === 4, "the recovered message");
  const late = await svix.endpoint.create(app.id, { url: `${base}${path}-late` });
  await finished(await svix.endpoint.replayMissing(app.id, late.id, { since }));
  await waitFor(() => requests.some((r) => r.path === `${path}-late`), "the missing message");
  await finished(await svix.endpoint.bulkReplay(app.id, late.id, { since, eventTypes: ["a.b"] }));
  await waitFor(() => requests.filter((r) => r.path === `${path}-late`).length === 2, "the replayed message");
  assert.ok((await svix.backgroundTask.list()).data.some((row) => row.id === task.id));
  const stats = await svix.endpoint.getStats(app.id, endpoint.id);
  assert.deepEqual([stats.success, stats.fail], [1, 3]);
  assert.equal((await svix.message.bulkExpungeContent(app.id, { ids: [message.id] })).results[message.id], "expunged");
});

test("transformation", async () => {
  const { app, endpoint } = await appWithEndpoint();
  await svix.endpoint.transformation.patch(app.id, endpoint.id, { code: "{body: {was: .data.n}}", enabled: true });
  const shown = await svix.endpoint.transformation.get(app.id, endpoint.id);
  assert.deepEqual([shown.code, shown.enabled], ["{body: {was: .data.n}}", true]);
  const request = await delivered(await svix.message.create(app.id, { eventType: "a", payload: { n: 5 } }));
  assert.equal(request.body.toString(), '{"was":5}');
});

test("portal access and the application's own token", async () => {
  const { app, endpoint } = await appWithEndpoint();
  const access = await svix.authentication.appPortalAccess(app.id, { readOnly: true });
  assert.ok(access.url.includes(access.token));
  const own = new Svix(access.token, { serverUrl: SERVER });
  assert.equal((await own.endpoint.get(app.id, endpoint.id)).id, endpoint.id);
  await fails(own.endpoint.delete(app.id, endpoint.id), 403);
  await svix.authentication.expireAll(app.id, {});
  await fails(own.endpoint.get(app.id, endpoint.id), 401);
});

test("integration", async () => {
  const app = await svix.application.create({ name: "JS" });
  const made = await svix.integration.create(app.id, { name: "One" });
  assert.equal((await svix.integration.get(app.id, made.id)).name, "One");
  const { key } = await svix.integration.rotateKey(app.id, made.id);
  assert.deepEqual((await new Svix(key, { serverUrl: SERVER }).endpoint.list(app.id)).data, []);
  assert.equal((await svix.integration.list(app.id)).data.length, 1);
  await svix.integration.delete(app.id, made.id);
  await fails(svix.integration.get(app.id, made.id), 404);
});

test("polling", async () => {
  const app = await svix.application.create({ name: "JS" });
  const response = await fetch(`${SERVER}/api/v1/app/${app.id}/sink`, {
    method: "POST",
    headers: { Authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify({ type: "poller" }),
  });
  assert.equal(response.status, 201);
  const sink = await response.json();
  const ids = [];
  for (let n = 0; n < 5; n++) {
    ids.push((await svix.message.create(app.id, { eventType: "a", payload: { n } })).id);
  }
  const first = await svix.message.poller.poll(app.id, sink.id, { limit: 3 });
  const second = await svix.message.poller.poll(app.id, sink.id, { limit: 3, iterator: first.iterator });
  assert.deepEqual([...first.data, ...second.data].map((message) => message.id), ids);
  assert.deepEqual([first.done, second.done], [false, true]);
  const seek = await svix.message.poller.consumerSeek(app.id, sink.id, "c", { after: new Date(0) });
  assert.equal(typeof seek.iterator, "string");
  assert.equal((await svix.message.poller.consumerPoll(app.id, sink.id, "c")).data.length, 5);
});

test("examples and precheck", async () => {
  const { app, endpoint, path } = await appWithEndpoint();
  const message = await svix.endpoint.sendExample(app.id, endpoint.id, { eventType: "svix.ping" });
  await waitFor(() => requests.some((r) => r.path === path && r.headers["webhook-id"] === message.id), "the ping");
  assert.equal((await svix.message.precheck(app.id, { eventType: "a" })).active, true);
});

test("statistics", async () => {
  const app = await svix.application.create({ name: "JS" });
  const until = new Date();
  const since = new Date(until - 3600000);
  const task = await svix.statistics.aggregateAppStats({ since, until, appIds: [app.id, "nobody"] });
  assert.deepEqual(task.unresolvedAppIds, ["nobody"]);
  assert.equal((await finished(task)).status, "finished");
  assert.equal((await finished(await svix.statistics.aggregateEventTypes())).status, "finished");
});
