/** README.txt of a label: for a person who has the cartridge, a drive, and no shelfs. */

export function readmeText(label: {
  readonly barcode: string;
  readonly pool: string;
  readonly set: { readonly number: number };
  readonly blockBytes: number;
  readonly created: string;
  readonly program: string;
}): string {
  const { barcode, blockBytes } = label;
  return `This is cartridge ${barcode}, number ${label.set.number} of its set, pool ${label.pool}.
Written by ${label.program}, begun ${label.created}.

WHAT IS ON IT
  Tape file 0 is this label: a tar with label.json, README.txt and restore.sh.
  Each further tape file is an archive: a plain tar of some files of a backup. Blocks have ${blockBytes} bytes.
  The last members of an archive are .shelfs/archives/UUID/journal, a text with one line for each entry of the
  backup, and .shelfs/archives/UUID/digest, the hashes of all before it.
  Where a cartridge was closed, two members before them are a copy of the catalog of the whole backup: catalog.sqlite.zst
  (zstd -d, then sqlite3) and beside it catalog.txt, a text. Neither is needed to restore.
  Large files may be split over archives and cartridges: NAME.shelfs-part-0001-of-0003 and so on; joined by cat they are the file.
  Files whose content was on tape already, moved files and later changes of attributes are in the journals alone.

EVERYTHING AT ONCE
  You need sh, mt, dd, awk, sort and GNU tar. DRIVE is the tape drive that does not rewind, for instance /dev/nst0.
    mt -f DRIVE rewind
    mt -f DRIVE setblk 0
    dd if=DRIVE bs=${blockBytes} | tar xf - restore.sh
    sh restore.sh -f DRIVE -t /where/to              all files as they were last
    sh restore.sh -f DRIVE -t /where/to /home/me     some of them
  It asks for further cartridges by their barcode. Begin with the cartridge written last. sh restore.sh -h tells of more,
  such as a command that has a changer load them.
  Tape files saved as BARCODE/0, BARCODE/1 and so on in a directory are read with -d DIRECTORY in place of -f DRIVE.

ONE ARCHIVE BY HAND
    mt -f DRIVE rewind
    mt -f DRIVE setblk 0
    mt -f DRIVE fsf 1                                to tape file 1
    dd if=DRIVE bs=${blockBytes} | tar xvf -                list and extract; add names to extract only these
  With extended attributes and ACLs, as root: tar --xattrs --xattrs-include='*' --acls -xpvf -
  Remarks on unknown keywords (SHELFS.part..., hdrcharset) and on implausibly old time stamps are harmless.
  "Unexpected EOF" in an archive without a digest means that writing was cut there; all before it is good.

ONE FILE BY ITS JOURNAL
  A field of a journal's line says where the bytes are, for instance ${barcode}:3:1042+1536/70000@0: tape file 3, tape block
  1042, 1536 bytes into that block, 70000 bytes.
    mt -f DRIVE setblk 0
    mt -f DRIVE seek 1042
    dd if=DRIVE bs=${blockBytes} | tail -c +1537 | head -c 70000 > file
  Bytes of names below 0x20, 0x7f and the backslash are written \\0ooo in octal: printf '%b' shows them.

IS IT WHAT WAS WRITTEN
  The digest names a length; the hash is of that many bytes from the start of the archive, here of tape file 1.
    mt -f DRIVE rewind
    mt -f DRIVE setblk 0
    mt -f DRIVE fsf 1
    dd if=DRIVE bs=${blockBytes} > archive.tar
    tar xOf archive.tar --wildcards '.shelfs/archives/*/digest'
    head -c LENGTH archive.tar | sha256sum
    head -c LENGTH archive.tar | b3sum
  A file's own hash in the journal is plain BLAKE3: b3sum FILE
`;
}
