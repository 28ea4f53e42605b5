import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { mailChannel, mailOf } from '../../../src/notify/mail.ts';
import { about, asked, HOSTILE } from '../../sim/question.ts';

const go = new AbortController().signal;
const SETTINGS = {
  server: '127.0.0.1',
  security: 'none',
  from: 'shelfs@example.org',
  to: ['Operator <me@example.org>', 'you@example.org'],
} as const;

type Session = { commands: string[]; message: string };

/** As much of SMTP (RFC 5321) as a client needs to hand over a mail. @param refuse what is answered to a command */
async function smtp(refuse: Readonly<Record<string, string>> = {}) {
  const sessions: Session[] = [];
  const server = createServer((socket) => {
    const session: Session = { commands: [], message: '' };
    sessions.push(session);
    talk(socket, session, refuse);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { port: (server.address() as AddressInfo).port, sessions };
}

function talk(socket: Socket, session: Session, refuse: Readonly<Record<string, string>>) {
  const say = (line: string) => socket.write(`${line}\r\n`);
  let buffered = '';
  let isMessage = false;
  say('220 test');
  socket.setEncoding('latin1');
  socket.on('data', (part: string) => {
    buffered += part;
    for (;;) {
      const end = buffered.indexOf(isMessage ? '\r\n.\r\n' : '\r\n');
      if (end < 0) return;
      const line = buffered.slice(0, end);
      buffered = buffered.slice(end + (isMessage ? 5 : 2));
      if (isMessage) {
        session.message = line;
        isMessage = false;
        say('250 taken');
        continue;
      }
      session.commands.push(line);
      const verb = line.split(/[ :]/)[0]?.toUpperCase() ?? '';
      if (verb === 'EHLO') say(refuse.AUTH ? '250-test\r\n250 AUTH PLAIN' : '250 test');
      else if (refuse[verb]) say(refuse[verb]);
      else if (verb === 'DATA') {
        isMessage = true;
        say('354 go on');
      } else if (verb === 'QUIT') socket.end('221 bye\r\n');
      else say('250 ok');
    }
  });
}

test('is handed to the server, for all that are named', async () => {
  const { port, sessions } = await smtp();
  await mailChannel({ ...SETTINGS, port }).send(asked(), go);
  const [session] = sessions;
  expect(session?.commands).toEqual(
    expect.arrayContaining([
      'MAIL FROM:<shelfs@example.org>',
      'RCPT TO:<me@example.org>',
      'RCPT TO:<you@example.org>',
    ]),
  );
  expect(session?.message).toContain('Subject: [shelfs tapehost] cartridge ABC001L9 is wanted');
  expect(session?.message).toContain('Auto-Submitted: auto-generated');
  expect(session?.message).toContain('Message-ID: <msg_1@shelfs.invalid>');
  expect(session?.message).toContain('shelfs answer 7 decline');
});

test('no name adds a header, a recipient or a control byte', async () => {
  const { port, sessions } = await smtp();
  await mailChannel({ ...SETTINGS, port }).send(asked({ about: about(HOSTILE) }), go);
  const [session] = sessions;
  const head = session?.message.split('\r\n\r\n')[0] ?? '';
  expect(head.split('\r\n').filter((line) => /^bcc:/i.test(line))).toEqual([]);
  expect(session?.commands.filter((line) => line.startsWith('RCPT'))).toHaveLength(2);
  const { subject, text } = mailOf(asked({ about: about(HOSTILE) }));
  expect(subject).not.toMatch(/\p{Cc}/u);
  expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
});

test.each([
  ['MAIL', '550 not you', 'NOTICE_REFUSED'],
  ['DATA', '451 later', 'NOTICE_FAILED'],
])('a server that answers %s with %s', async (verb, answer, code) => {
  const { port } = await smtp({ [verb]: answer });
  await expect(mailChannel({ ...SETTINGS, port }).send(asked(), go)).rejects.toMatchObject({
    code,
    message: expect.stringContaining(answer.slice(4)),
  });
});

test('a password that the server repeats is not passed on', async () => {
  const { port } = await smtp({ AUTH: '535 no such thing as s3cret' });
  const channel = mailChannel({ ...SETTINGS, port, user: 'me', password: 's3cret' });
  const error = await channel.send(asked(), go).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'NOTICE_REFUSED', message: 'EAUTH' });
});

test('a server without STARTTLS is not told anything where that is wanted', async () => {
  const { port, sessions } = await smtp({ STARTTLS: '502 what' });
  const channel = mailChannel({ ...SETTINGS, port, security: 'starttls' });
  await expect(channel.send(asked(), go)).rejects.toMatchObject({ code: 'NOTICE_REFUSED' });
  expect(sessions[0]?.message).toBe('');
});

test('nobody there', async () => {
  const channel = mailChannel({ ...SETTINGS, port: 1 });
  await expect(channel.send(asked(), go)).rejects.toMatchObject({ code: 'NOTICE_FAILED' });
});
