// A job's whole way with the openai package: KEY=… BASE=http://…/v1 node flow.mjs
import OpenAI, { toFile } from 'openai';
import assert from 'node:assert/strict';

const client = new OpenAI({ baseURL: process.env.BASE, apiKey: process.env.KEY, maxRetries: 0 });
const { jobs } = client.fineTuning;
const rows = ['text,label'];
for (let n = 0; n < 8; n++) rows.push(`where is parcel number ${n},delivery`, `refund invoice number ${n},billing`);

const file = await client.files.create({ file: await toFile(Buffer.from(rows.join('\n')), 'mails.csv'), purpose: 'fine-tune' });
assert.equal(file.object, 'file');
let job = await jobs.create({ model: 'all-MiniLM-L6-v2', training_file: file.id, suffix: 'mails' });
const ended = ['succeeded', 'failed', 'cancelled'];
while (!ended.includes(job.status)) {
  await new Promise((done) => setTimeout(done, 200));
  job = await jobs.retrieve(job.id);
}
assert.equal(job.status, 'succeeded', JSON.stringify(job.error));
const messages = [];
for await (const event of await jobs.listEvents(job.id)) messages.push(event.message);
assert.ok(messages.includes('Job succeeded'), messages.join('; '));
assert.equal((await client.models.retrieve(job.fine_tuned_model)).id, job.fine_tuned_model);
const found = [];
for await (const model of await client.models.list()) found.push(model.id);
assert.ok(found.includes(job.fine_tuned_model));
const embedded = await client.embeddings.create({ model: 'all-MiniLM-L6-v2', input: ['one', 'two'] });
assert.equal(embedded.data.length, 2);
assert.equal(embedded.data[0].embedding.length, 384);

// the fine-tuned classifier in a chat, a response, a batch
const asked = [{ role: 'system', content: 'Classify.' }, { role: 'user', content: 'where is my parcel' }];
const model = job.fine_tuned_model;
const chat = await client.chat.completions.create({ model, messages: asked, logprobs: true, top_logprobs: 2 });
assert.equal(chat.choices[0].message.content, 'delivery');
const [token] = chat.choices[0].logprobs.content;
const mass = token.top_logprobs.reduce((sum, one) => sum + Math.exp(one.logprob), 0);
assert.ok(Math.abs(mass - 1) < 1e-4, String(mass));
const streamed = await client.chat.completions.create({ model, messages: asked, stream: true, stream_options: { include_usage: true } });
let text = '', usage = null;
for await (const chunk of streamed) {
  text += chunk.choices[0]?.delta?.content ?? '';
  usage = chunk.usage ?? usage;
}
assert.equal(text, 'delivery');
assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
assert.equal((await client.responses.create({ model, input: 'refund my invoice' })).output_text, 'billing');
const kinds = [];
for await (const event of await client.responses.create({ model, input: 'refund my invoice', stream: true })) kinds.push(event.type);
assert.equal(kinds.at(-1), 'response.completed');

const lines = [0, 1, 2].map((n) => JSON.stringify({
  custom_id: `r${n}`, method: 'POST', url: '/v1/chat/completions', body: { model: n < 2 ? model : 'nope', messages: asked },
}));
const requests = Buffer.from(lines.join('\n'));
const upload = await client.uploads.create({ filename: 'requests.jsonl', bytes: requests.length, mime_type: 'application/jsonl', purpose: 'batch' });
const half = requests.length >> 1;
const [second, first] = await Promise.all([requests.subarray(half), requests.subarray(0, half)].map(
  async (data) => client.uploads.parts.create(upload.id, { data: await toFile(data, 'part') }),
));
const whole = await client.uploads.complete(upload.id, { part_ids: [first.id, second.id] });
assert.equal(whole.status, 'completed');
let batch = await client.batches.create({ input_file_id: whole.file.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
while (!['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) {
  await new Promise((done) => setTimeout(done, 200));
  batch = await client.batches.retrieve(batch.id);
}
assert.deepEqual(batch.request_counts, { total: 3, completed: 2, failed: 1 }, JSON.stringify(batch.errors));
const answers = (await (await client.files.content(batch.output_file_id)).text()).trim().split('\n').map(JSON.parse);
assert.deepEqual(answers.map((one) => one.response.body.choices[0].message.content), ['delivery', 'delivery']);

const refused = {
  chat: [() => client.chat.completions.create({ model: 'nope', messages: asked }), /^404 there is no such model/, 'not_found', 'model'],
  paused: [() => jobs.pause(job.id), /^409 .*succeeded/, 'invalid_transition', null],
  completed: [() => client.uploads.cancel(upload.id), /^409 the upload is completed/, 'invalid_transition', null],
  backbone: [() => jobs.create({ model: 'nope', training_file: file.id }), /^422 No backbone is called 'nope'/, 'unknown_backbone', 'model'],
  model: [() => client.models.retrieve('nope'), /^404 there is no such model/, 'not_found', null],
  key: [() => new OpenAI({ baseURL: client.baseURL, apiKey: 'x', maxRetries: 0 }).models.list(), /^401 /, 'unauthenticated', null],
  cancel: [() => jobs.cancel(job.id), /^409 .*succeeded/, 'invalid_transition', null],
  file: [async () => client.files.create({ file: await toFile(Buffer.from('no archive'), 'x.zip'), purpose: 'fine-tune' }), /^422 /, 'not_an_archive', null],
};
for (const [name, [call, message, code, param]] of Object.entries(refused)) {
  await assert.rejects(call, (error) => {
    assert.match(error.message, message, name);
    assert.doesNotMatch(error.message, /no body/, name);
    assert.equal(error.code, code, name);
    assert.ok(error.type, name);
    if (param) assert.equal(error.param, param, name);
    return true;
  });
}
assert.equal((await client.models.delete(job.fine_tuned_model)).deleted, true);
console.log('done');
