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

const refused = {
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
