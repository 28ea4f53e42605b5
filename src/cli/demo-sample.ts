/** What `shelfs demo` backs up when nothing is named: documents, pictures, and a file of the size of a film. */
import { randomFillSync } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const DOCUMENTS = 200;
const PICTURES = 40;
const PICTURE_BYTES = 400_000;
const FILM_BYTES = 500 * 2 ** 20;
const PIECE_BYTES = 8 * 2 ** 20;

export const LETTER = 'documents/letter.txt';

/** @param directory is there and empty */
export async function makeSample(directory: string): Promise<void> {
  for (const name of ['documents', 'pictures', 'films']) await mkdir(join(directory, name));
  await writeFile(join(directory, LETTER), 'Dear reader,\nthis is the first version.\n');
  for (let number = 1; number <= DOCUMENTS; number += 1) {
    const text = `Report ${number}\n\n${'All is well on the shelf. '.repeat(number)}\n`;
    await writeFile(join(directory, 'documents', `report-${number}.txt`), text);
  }
  const picture = Buffer.alloc(PICTURE_BYTES);
  for (let number = 1; number <= PICTURES; number += 1)
    await writeFile(
      join(directory, 'pictures', `IMG_${1000 + number}.jpg`),
      randomFillSync(picture),
    );
  const film = await open(join(directory, 'films', 'holiday.mkv'), 'wx');
  try {
    const piece = Buffer.alloc(PIECE_BYTES);
    for (let written = 0; written < FILM_BYTES; written += PIECE_BYTES)
      await film.write(randomFillSync(piece));
  } finally {
    await film.close();
  }
}
