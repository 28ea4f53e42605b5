import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { SimClock } from '../../../src/base/clock.ts';
import { bodyOf, signature, webhookChannel } from '../../../src/notify/webhook.ts';
import { about, asked, HOSTILE } from '../../sim/question.ts';

const go = new AbortController().signal;
/** The key, message and signature that the libraries of Standard Webhooks are tested with. */
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

test('is signed as the published vector says', () => {
  const body = '{"test": 2432232314}';
  expect(
    signature('msg_p5jXN8AQM9LWM0D4loKWxJek', { seconds: 1_614_265_330, body, secret: SECRET }),
  ).toEqual({
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  });
});

test('a standard body names the question, who waits and the commands that answer', () => {
  expect(bodyOf(asked(), 'standard')).toEqual({
    type: 'operator.asked',
    timestamp: '2026-11-20T09:00:00.000Z',
    data: {
      host: 'tapehost',
      question: 7,
      subject: 'cartridge ABC001L9 is wanted (Bank, box 2)',
      text: [
        'Insert cartridge ABC001L9; it is at: Bank, box 2.',
        'cartridge ABC001L9 is not in the library',
        'restore waits: 12 files.',
        'Without an answer until 2026-11-20 21:00 UTC: decline (it is not to be had: whoever waits goes without).',
      ].join('\n'),
      about: { kind: 'medium', barcode: 'ABC001L9', location: 'Bank, box 2' },
      reason: 'cartridge ABC001L9 is not in the library',
      waiting: { who: 'restore', contents: 12, readers: undefined },
      attempt: 1,
      choices: ['retry', 'decline'],
      default: 'decline',
      deadline: '2026-11-20T21:00:00.000Z',
      commands: ['shelfs answer 7 retry', 'shelfs answer 7 decline'],
    },
  });
});

test('Slack takes nothing for a mention, and not more than it shows', () => {
  const message = asked({ about: about(HOSTILE), reason: '<&>'.repeat(3000) });
  const body = JSON.stringify(bodyOf(message, 'slack'));
  expect(body).toContain('&lt;!channel&gt;');
  expect(body).not.toMatch(/[<>]|\\u001b|\\r/);
  expect(JSON.parse(body).text.length).toBeLessThanOrEqual(4000);
});

test('Discord takes nothing for a mention or markup, and not more than 2000 characters', () => {
  const message = asked({ about: about(HOSTILE), reason: '*_`'.repeat(3000) });
  const { content, allowed_mentions: mentions } = JSON.parse(
    JSON.stringify(bodyOf(message, 'discord')),
  );
  expect(content).toContain('\\@everyone');
  expect(content.length).toBeLessThanOrEqual(2000);
  expect(mentions).toEqual({ parse: [] });
});

type Request = { headers: IncomingHttpHeaders; body: string };

/** Answers every request with the status. */
async function server(status: number, headers: Record<string, string> = {}) {
  const requests: Request[] = [];
  const http = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (part: string) => {
      body += part;
    });
    request.on('end', () => {
      requests.push({ headers: request.headers, body });
      response.writeHead(status, headers).end('words');
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void http.close());
  const { port } = http.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/hooks/T0PSECRET?key=S3CRET`;
  const close = () => new Promise((resolve) => http.close(resolve));
  return { url, requests, close };
}

test('is posted with the signature of the very bytes that travel', async () => {
  const { url, requests } = await server(204);
  const clock = new SimClock();
  const channel = webhookChannel({ url, format: 'standard', secret: SECRET }, clock);
  await channel.send(asked(), go);
  const [{ headers, body } = { headers: {}, body: '' }, ...others] = requests;
  expect(others).toEqual([]);
  const seconds = Number(headers['webhook-timestamp']);
  expect(seconds).toBe(Date.UTC(2026, 0, 1) / 1000);
  expect(headers).toMatchObject({
    'content-type': 'application/json',
    ...signature('msg_1', { seconds, body, secret: SECRET }),
  });
  expect(JSON.parse(body)).toMatchObject({ data: { question: 7 } });
});

test.each([
  [500, {}, 'NOTICE_FAILED'],
  [429, {}, 'NOTICE_FAILED'],
  [404, {}, 'NOTICE_REFUSED'],
  // The signature has no business elsewhere.
  [302, { location: 'http://127.0.0.1:1/' }, 'NOTICE_REFUSED'],
] as const)('a server that answers %i', async (status, headers, code) => {
  const { url } = await server(status, headers);
  const channel = webhookChannel({ url, format: 'slack' }, new SimClock());
  const error = await channel.send(asked(), go).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code, message: `the server answered ${status}` });
});

test('no secret stands in its name or in why it failed', async () => {
  const { url, close } = await server(200);
  await close();
  const channel = webhookChannel({ url, format: 'slack' }, new SimClock());
  const error = await channel.send(asked(), go).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'NOTICE_FAILED' });
  expect(`${channel.name} ${String(error)}`).toContain(`webhook ${new URL(url).host}`);
  expect(`${channel.name} ${String(error)}`).toContain('ECONNREFUSED');
  expect(`${channel.name} ${String(error)}`).not.toMatch(/S3CRET|T0PSECRET/);
});
