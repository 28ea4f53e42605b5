/** A notification on the desktop, by notify-send(1): all that packages for it do on Linux. */
import { wordsOf } from '../domain/question-words.ts';
import type { Channel } from './channel.ts';
import { runProgram } from './program.ts';

export function desktopChannel(program = 'notify-send'): Channel {
  return {
    name: 'desktop',
    async send({ notice, host }, signal) {
      const { subject, lines, commands } = wordsOf(notice);
      const body = [...lines, ...commands.map(({ command }) => command)].join('\n');
      const urgency = notice.kind === 'answered' ? 'low' : 'critical';
      const options = ['--app-name=shelfs', `--urgency=${urgency}`, '--icon=media-tape'];
      // The body is markup (Desktop Notifications Specification 1.2, section 4), the summary is not.
      const words = [...options, '--', `${host}: ${subject}`, markupOf(body)];
      await runProgram([program, ...words], '', signal);
    },
  };
}

function markupOf(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
