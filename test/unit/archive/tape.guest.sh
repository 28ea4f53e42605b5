#!/bin/sh
# In the virtual machine: writes saved tape files onto cartridges, then restores them with the label's own script.
# tape.guest.sh MEDIA TARGET: MEDIA/BARCODE/0, 1, ...; TARGET is a tar of what was restored.
set -eu
media=$1 target=$2
drive=/dev/nst0
changer=/dev/changer

cat >/tmp/load <<'END'
#!/bin/sh
# load BARCODE: what a person with a changer would do.
set -eu
loaded=$(mtx -f /dev/changer status | sed -n 's/^Data Transfer Element 0:Full (Storage Element \([0-9]*\).*/\1/p')
if [ -n "$loaded" ]; then
  mt -f /dev/nst0 offline
  mtx -f /dev/changer unload "$loaded" 0
fi
slot=$(mtx -f /dev/changer status | sed -n "s/^ *Storage Element \([0-9]*\):Full :VolumeTag=$1 *$/\1/p")
[ -n "$slot" ]
mtx -f /dev/changer load "$slot" 0
for try in 1 2 3 4 5 6 7 8 9 10; do
  if mt -f /dev/nst0 status | grep -q ONLINE; then exit 0; fi
  sleep 1
done
exit 1
END
chmod +x /tmp/load

for barcode in $(ls "$media"); do
  /tmp/load "$barcode"
  mt -f "$drive" setblk 0
  file=0
  # The st driver ends what was written by a filemark when nst is closed.
  while [ -e "$media/$barcode/$file" ]; do
    dd if="$media/$barcode/$file" of="$drive" bs=4096 2>/dev/null
    file=$((file + 1))
  done
  # What a power cut leaves behind them: the beginning of an archive that no filemark ends, written past the st driver.
  mt -f "$drive" eod
  dd if="$media/$barcode/1" of=/tmp/cut bs=4096 count=1 2>/dev/null
  generic=/dev/$(basename "$(readlink -f /sys/class/scsi_tape/nst0/device/generic)")
  for _ in 1 2 3; do sg_raw -s 4096 -i /tmp/cut "$generic" 0a 00 00 10 00 00 2>/dev/null; done
  mt -f "$drive" tell >&2
done
mt -f "$drive" rewind
mt -f "$drive" setblk 0
cd /tmp
dd if="$drive" bs=4096 2>/dev/null | tar -xf - restore.sh
/tmp/load AAA001L9
sh restore.sh -f "$drive" -l /tmp/load -t /tmp/target
test -p /tmp/target/home/me/pipe
# 9p has no FIFOs.
tar -C /tmp/target --exclude=./home/me/pipe -cf "$target" .
