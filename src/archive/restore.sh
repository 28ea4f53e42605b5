#!/bin/sh
# Restores a backup from its cartridges without shelfs: sh restore.sh -h
#
# Needs sh, awk, sort, dd, GNU tar, and mt for a tape drive. What tar cannot know (duplicates, moved and linked files, parts,
# changed attributes, files that are gone) stands in the journals at the archives' ends; they are read first, by seeking. Then
# each cartridge is read once, forward. FORMAT.md of shelfs describes what is read here.
set -eu
LC_ALL=C
export LC_ALL
umask 077
TAB=$(printf '\t')

usage() {
  cat <<'END'
usage: restore.sh -d DIRECTORY | -f DRIVE  [options] [PATH...]
  -d DIRECTORY  cartridges saved as DIRECTORY/BARCODE/0, 1, 2 ... (one file a tape file)
  -f DRIVE      tape drive that does not rewind, such as /dev/nst0
  -t TARGET     an empty or new directory to restore into (./restored)
  -b BARCODE    one more cartridge to look at; may be repeated. Those that journals name are asked for anyway
  -l COMMAND    "COMMAND BARCODE" loads a cartridge; without it a person is asked
  -H HOST       whose files (those of the newest backup's host)
  -n            list what would be restored, and stop
  PATH          what to restore, as it was called at the source; without one everything
Files are restored as they were last; those deleted since are left out. Start with the cartridge written last.
END
}

say() { printf 'restore.sh: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

directory='' drive='' target=restored loader='' host='' only_list='' more=''
while getopts d:f:t:b:l:H:nh option; do
  case $option in
    d) directory=$OPTARG ;;
    f) drive=$OPTARG ;;
    t) target=$OPTARG ;;
    b) more="$more $OPTARG" ;;
    l) loader=$OPTARG ;;
    H) host=$OPTARG ;;
    n) only_list=yes ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
if [ -z "$directory$drive" ] || { [ -n "$directory" ] && [ -n "$drive" ]; }; then usage >&2; exit 2; fi
tar --version 2>/dev/null | grep -q 'GNU tar' || die 'GNU tar is needed'

mkdir -p "$target"
target=$(cd "$target" && pwd)
[ -z "$(ls -A "$target")" ] || die "$target is not empty"
work=$target/.shelfs-restore
mkdir "$work" "$work/list" "$work/stage"
pipes=$(mktemp -d)
trap 'rm -rf "$work" "$pipes"' EXIT
trap 'exit 130' INT TERM
: >"$work/lines"; : >"$work/media"; : >"$work/files"; : >"$work/done"; : >"$work/failed"; : >"$work/labels"

# ---- cartridges --------------------------------------------------------------------------------------------------

loaded=''
block_bytes=0

# The value of a key of label.json, which has one key a line.
label_value() { awk -F'"' -v key="$1" '$2 == key { value = $4; if (value == "") { value = $3; gsub(/[^0-9]/, "", value) } print value; exit }' "$work/label.json"; }

read_label() { # BARCODE, or nothing for the one in the drive; sets label.json, fails where there is none
  if [ -n "$directory" ]; then
    tar -xOf "$directory/$1/0" label.json >"$work/label.json" 2>/dev/null
  else
    mt -f "$drive" rewind >&2 && mt -f "$drive" setblk 0 >&2 || return 1
    for size in 524288 1048576 2097152 8388608; do
      # A few blocks may end before the label does: tar then complains, behind what is wanted.
      dd if="$drive" bs="$size" count=8 2>/dev/null | tar -xOf - label.json >"$work/label.json" 2>/dev/null || :
      [ ! -s "$work/label.json" ] || return 0
      mt -f "$drive" rewind >&2 || return 1
    done
    return 1
  fi
}

attach() { # BARCODE; fails where it is not to be had
  [ "$loaded" != "$1" ] || return 0
  if [ -n "$directory" ]; then
    [ -e "$directory/$1/0" ] && read_label "$1" || return 1
  else
    while :; do
      loaded=''
      if [ -n "$loader" ]; then
        $loader "$1" >&2 || return 1
      else
        printf 'Insert cartridge %s, then press Enter (or type "no" if there is none): ' "$1" >&2
        read -r reply </dev/tty || return 1
        [ "$reply" != no ] || return 1
      fi
      if read_label && [ "$(label_value barcode)" = "$1" ]; then break; fi
      say "the drive does not hold $1"
      [ -z "$loader" ] || return 1
    done
  fi
  loaded=$1
  block_bytes=$(label_value blockBytes)
  case $block_bytes in '' | *[!0-9]*) die "the label of $1 names no block size" ;; esac
}

tell() { mt -f "$drive" tell | sed -n 's/^At block \([0-9]*\).*/\1/p'; }

# Blocks of a tape file to stdout: FILE, number of the file's first block on the medium, first block wanted, how many (- for all).
blocks() {
  if [ -n "$directory" ]; then source=$directory/$loaded/$1 skip=$3; else
    mt -f "$drive" seek $(($2 + $3)) >&2
    source=$drive skip=0
  fi
  if [ "$4" = - ]; then set -- bs="$block_bytes"; else set -- bs="$block_bytes" count="$4"; fi
  dd if="$source" skip="$skip" "$@" 2>>"$work/dd.log"
}

# Tape files of the cartridge at hand: FILE, first block, blocks; one a line.
survey() {
  file=1
  if [ -n "$directory" ]; then
    first=$(($(wc -c <"$directory/$loaded/0") / block_bytes + 1))
    while [ -e "$directory/$loaded/$file" ]; do
      count=$(($(wc -c <"$directory/$loaded/$file") / block_bytes))
      echo "$file $first $count"
      first=$((first + count + 1)) file=$((file + 1))
    done
  else
    mt -f "$drive" rewind >&2
    mt -f "$drive" fsf 1 >&2 || return 0
    first=$(tell)
    while mt -f "$drive" fsf 1 2>/dev/null; do
      next=$(tell)
      [ "$next" -gt "$first" ] || break
      echo "$file $first $((next - first - 1))"
      first=$next file=$((file + 1))
    done
  fi
}

# The journal of one archive, found from its end: FILE FIRST BLOCKS. Nothing where it has no digest of its own (a torn archive,
# which may end in the middle of a file that is an archive itself). Sets $uuid to whose it has to be.
journal() {
  uuid=''
  [ "$3" -gt 0 ] || return 0
  back=$3
  [ "$back" -le 2 ] || back=2
  blocks "$1" "$2" $(($3 - back)) "$back" >"$work/tail"
  # The digest is the last text of its form, below a header with its name; NULs around them become ends of lines.
  place=$(tr '\000' '\n' <"$work/tail" | awk '
    function number(text) { return text ~ /^(0|[1-9][0-9]*)$/ && length(text) <= 16 }
    /^\.shelfs\/archives\/[0-9a-f-]+\/digest$/ { split($0, part, "/"); name = part[3] }
    $1 == "blake3" && $2 ~ /^[0-9a-f]+$/ && length($2) == 64 && number($3) { state = 1; covered = $3; next }
    state == 1 && $1 == "sha256" { state = 2; next }
    state == 2 && $1 == "journal" && number($2) && number($3) { place = name " " covered " " $2 " " $3 }
    { state = 0 }
    END { print place }')
  [ -n "$place" ] || return 0
  covered=${place#* } offset=${covered#* } covered=${covered%% *}
  length=${offset#* } offset=${offset% *} named=${place%% *}
  # It stands where what it covers ends, under the name of the archive that begins here. An opening that cannot be read is no
  # reason against it.
  at=$((covered - ($3 - back) * block_bytes))
  [ "$at" -ge 0 ] && [ $((offset + length)) -le "$covered" ] || return 0
  header=$(tail -c +$((at + 1)) "$work/tail" | head -c 100 | tr -d '\000\n')
  [ "$header" = ".shelfs/archives/$named/digest" ] || return 0
  uuid=$(blocks "$1" "$2" 0 1 | head -c 4096 | tr '\000' '\n' | awk '
    /^\.shelfs\/archives\/[0-9a-f-]+\/archive\.json$/ { split($0, part, "/"); print part[3]; exit }')
  [ -n "$uuid" ] || uuid=$named
  [ "$uuid" = "$named" ] || return 0
  skip_bytes=$((offset % block_bytes))
  count=$(((skip_bytes + length + block_bytes - 1) / block_bytes))
  blocks "$1" "$2" $((offset / block_bytes)) "$count" | tail -c +$((skip_bytes + 1)) | head -c "$length"
}

# Adds a cartridge's journals to $work/lines, one entry a line:
# path started created number host archive-host type change size mtime mode ids hash where extra
gather() { # BARCODE
  say "reading the journals of $1"
  echo "$1 $(label_value created)" >>"$work/labels"
  survey >"$work/survey"
  while read -r file first count; do
    journal "$file" "$first" "$count" >"$work/journal" </dev/null
    torn=no
    head -n 1 "$work/journal" | grep -q "^shelfs-journal${TAB}1$TAB$uuid$TAB" || torn=torn
    echo "$1 $file $first $torn" >>"$work/files"
    [ "$torn" = no ] || continue
    : >"$work/media.more"
    awk -F'\t' -v OFS='\t' -v work="$work" '
      function extra_host(text, pairs, n, i) {
        n = split(text, pairs, ";")
        for (i = 1; i <= n; i++) if (substr(pairs[i], 1, 5) == "host=") return substr(pairs[i], 6)
        return host
      }
      $1 == "shelfs-journal" { archive_host = $5; created = $6 }
      $1 == "media" { for (i = 2; i <= NF; i++) print $i > (work "/media.more") }
      $1 == "run" { host = $4; started = $5 }
      length($1) == 1 && NF == 12 && $2 != "planned" && !($1 == "f" && $3 > 0 && $9 == "-" && $2 != "gone" && $2 != "expired") {
        print $12, started, created, sprintf("%012d", NR), extra_host($11), archive_host, $1, $2, $3, $4, $6, $7, $9, $10, $11
      }' "$work/journal" >>"$work/lines"
    cat "$work/media.more" >>"$work/media"
  done <"$work/survey"
  echo "$1" >>"$work/done"
}

# Cartridges that journals name and nobody has looked at.
unread() {
  { cut -f 14 "$work/lines" | tr ',;' '\n' | awk -F: '$1 != "-" { sub(/^~/, "", $1); print $1 }' | sort -u
    cat "$work/media"; } | sort -u | grep -vxFf "$work/done" || :
}

if [ -n "$directory" ]; then
  for medium in "$directory"/*/; do
    medium=${medium%/}
    more="$more ${medium##*/}"
  done
elif read_label; then
  loaded=$(label_value barcode)
  block_bytes=$(label_value blockBytes)
  more="$loaded $more"
fi
while :; do
  for barcode in $more; do
    grep -qxF "$barcode" "$work/done" && continue
    if attach "$barcode"; then gather "$barcode"; else
      say "cartridge $barcode is not to be had"
      echo "$barcode" >>"$work/done"
    fi
  done
  more=$(unread)
  [ -n "$more" ] || break
done
[ -s "$work/lines" ] || die 'no journal was found'

# ---- plan --------------------------------------------------------------------------------------------------------

arrange() { sort -T "$work" -t "$TAB" "$@"; }
escape() { printf '%s' "$1" | od -An -v -to1 | awk '
  { for (i = 1; i <= NF; i++) { code = substr($i, 1, 1) * 64 + substr($i, 2, 1) * 8 + substr($i, 3, 1)
      if (code < 32 || code == 127 || code == 92) printf "\\0%s", $i; else printf "%c", code } }'; }

: >"$work/wanted"
for path in "$@"; do
  path=$(escape "$path")
  case $path in /*) ;; *) path=/$path ;; esac
  [ "$path" = / ] || printf '%s\n' "${path%/}" >>"$work/wanted"
done
if [ -n "$host" ]; then host=$(escape "$host"); else
  host=$(arrange -k2,2 -k3,3 "$work/lines" | tail -n 1 | cut -f 6)
fi

# The newest line of each path, less what is gone, not wanted, or names no place below the target.
arrange -k1,1 -k2,2 -k3,3 -k4,4 "$work/lines" | HOST=$host awk -F'\t' -v list="$work/wanted" '
  BEGIN { host = ENVIRON["HOST"]; while ((getline line < list) > 0) wanted[++count] = line }
  function is_wanted(path, i) {
    for (i = 1; i <= count; i++) if (path == wanted[i] || index(path, wanted[i] "/") == 1) return 1
    return count == 0
  }
  function flush(fields) {
    if (last == "") return
    split(last, fields, "\t")
    if (fields[8] == "gone" || fields[8] == "expired" || fields[7] == "s") return
    if (fields[1] !~ /^\// || fields[1] ~ /\/\.\.?(\/|$)/ || fields[1] ~ /^\/\.shelfs-restore(\/|$)/) return
    if (is_wanted(fields[1])) print last
  }
  $5 != host { next }
  $1 != path { flush(); path = $1 }
  { last = $0 }
  END { flush() }' >"$work/live"
[ -s "$work/live" ] || die 'nothing that was asked for is in these journals'
if [ -n "$only_list" ]; then
  cut -f 1 "$work/live"
  exit 0
fi

# Which member each stretch of a cartridge is: the first entry that named it was the one that stored it. A journal that is
# older than a cartridge's label names what lay there before: such places come last, for clocks may have been wrong.
member_of='
  function read_labels(list, l) { while ((getline line < list) > 0) { split(line, l, " "); made[l[1]] = l[2] } }
  function is_void(key, created) { sub(/:.*/, "", key); return key in made && created < made[key] }
  function member(path, host, archive_host, index_, count) {
    if (host != archive_host) name = ".shelfs/hosts/" host path
    else if (path == "/.shelfs" || substr(path, 1, 9) == "/.shelfs/") name = ".shelfs/tree" path
    else name = substr(path, 2)
    if (count > 1) name = name sprintf(".shelfs-part-%04d-of-%04d", index_, count)
    return name
  }
  function key_of(extent) { sub(/^~/, "", extent); sub(/\/.*/, "", extent); return extent }'
arrange -k2,2 -k3,3 -k4,4 "$work/lines" | awk -F'\t' -v OFS='\t' -v labels="$work/labels" "$member_of"'
  BEGIN { read_labels(labels) }
  $7 == "f" && ($8 == "new" || $8 == "changed") && $14 != "-" {
    copies = split($14, copy, ",")
    for (c = 1; c <= copies; c++) {
      count = split(copy[c], extent, ";")
      for (i = 1; i <= count; i++) {
        key = key_of(extent[i])
        print key, 0, sprintf("%d%012d", is_void(key, $3), NR), member($1, $5, $6, i, count)
      }
    }
  }' >"$work/members"

# Bytes that have moved to other cartridges since: places that other lines name for the same hash.
copy_at='
  BEGIN { read_labels(labels); while ((getline line < files) > 0) { split(line, f, " "); have[f[1] ":" f[2]] = 1 } }
  function is_there(copy, created, count, i, key, part) {
    count = split(copy, extent, ";")
    for (i = 1; i <= count; i++) {
      key = key_of(extent[i]); split(key, part, ":")
      if (!((part[1] ":" part[2]) in have) || (created != "" && is_void(key, created))) return 0
    }
    return count
  }
  function first_there(where, created, copies, c) {
    copies = split(where, copy, ",")
    for (c = 1; c <= copies; c++) if (is_there(copy[c], created)) return copy[c]
    return ""
  }'
awk -F'\t' -v files="$work/files" -v labels="$work/labels" "$member_of$copy_at"'
  $7 == "f" && $13 != "-" && $14 != "-" && first_there($14, $3) == "" { print $13 }' "$work/live" >"$work/moved"
: >"$work/elsewhere"
[ ! -s "$work/moved" ] || awk -F'\t' -v OFS='\t' -v files="$work/files" -v labels="$work/labels" -v moved="$work/moved" "$member_of$copy_at"'
  BEGIN { while ((getline line < moved) > 0) wanted[line] = 1 }
  $7 == "f" && $14 != "-" && ($13 in wanted) {
    there = first_there($14, $3)
    if (there != "") { print $13, there; delete wanted[$13] }
  }' "$work/lines" >"$work/elsewhere"

# What the files that are wanted need of which cartridge; the first copy whose cartridges are all there.
awk -F'\t' -v OFS='\t' -v files="$work/files" -v failed="$work/failed" -v labels="$work/labels" -v elsewhere="$work/elsewhere" "$member_of$copy_at"'
  BEGIN { while ((getline line < elsewhere) > 0) { split(line, e, "\t"); other[e[1]] = e[2] } }
  function group(text, pairs, n, i) {
    n = split(text, pairs, ";")
    for (i = 1; i <= n; i++) if (substr(pairs[i], 1, 6) == "group=") return substr(pairs[i], 7)
    return "-"
  }
  $7 == "f" && $14 != "-" {
    there = first_there($14, $3)
    if (there == "" && $13 in other) there = other[$13]
    if (there == "") there = first_there($14, "")
    count = split(there, extent, ";")
    for (i = 1; i <= count; i++) print key_of(extent[i]), 1, i, count, $1, $8, group($15), substr($1, 2)
    if (count == 0) print $1, "its cartridge is not there: " $14 >> failed
  }' "$work/live" >"$work/needs"

# Each stretch with its member and those who need it. Tasks: cartridge, file, block, skip, direct or stage, member.
# Afterwards: parts to join, staged files to move, further names to link or copy.
: >"$work/tasks"; : >"$work/parts"; : >"$work/moves"; : >"$work/again"; : >"$work/clean"
cat "$work/members" "$work/needs" | arrange -k1,1 -k2,2n -k3,3n | awk -F'\t' -v OFS='\t' -v work="$work" '
  function flush(i, at, stage, first) {
    if (uses == 0) return
    if (name == "") { for (i = 1; i <= uses; i++) print path[i], "no journal says which member it is" >> (work "/failed"); return }
    split(key, at, /[:+]/)
    stage = at[1] "-" at[2] "/" name
    first = 0
    # Attributes that were changed later may have been taken away: what tar brings is used where nothing was changed.
    for (i = 1; i <= uses; i++)
      if (total[i] == 1 && own[i] == name && (change[i] == "new" || change[i] == "changed")) { first = i; break }
    print at[1], at[2], at[3], at[4], (first ? "direct" : "stage"), name >> (work "/tasks")
    if (first) print path[first] >> (work "/clean")
    if (!first) {
      first = 1
      if (total[1] > 1) print path[1], number[1], stage >> (work "/parts")
      else print path[1], stage >> (work "/moves")
    }
    # Names of one inode are linked to the first of them, which may itself be a copy of another file.
    split("", named)
    named[group[first]] = path[first]
    for (i = 1; i <= uses; i++) if (i != first && number[i] == 1) {
      if (group[i] != "-" && group[i] in named) print named[group[i]], path[i], "link" >> (work "/again")
      else { print path[first], path[i], "copy" >> (work "/again"); named[group[i]] = path[i] }
    }
  }
  $1 != key { flush(); key = $1; name = ""; uses = 0 }
  $2 == 0 { if (name == "") name = $4; next }
  { uses++; number[uses] = $3; total[uses] = $4; path[uses] = $5; change[uses] = $6; group[uses] = $7; own[uses] = $8 }
  END { flush() }'

# ---- directories, then one pass over each cartridge ---------------------------------------------------------------

plain() { # sets $name to the bytes an escaped text stands for
  case $1 in
    *\\*) name=$(printf '%b.' "$1"); name=${name%.} ;;
    *) name=$1 ;;
  esac
}

fail() { printf '%s\t%s\n' "$1" "$2" >>"$work/failed"; }

# Directories of the tree, and those above files whose directories are not in it.
awk -F'\t' '{ path = $1; if ($7 != "d") sub(/\/[^\/]*$/, "", path); if (path != "" && path != last) print path; last = path }' "$work/live" |
  sort -T "$work" -u >"$work/directories"
while IFS= read -r path; do
  plain "$path"
  mkdir -p "$target$name" || fail "$path" 'its directory cannot be made'
done <"$work/directories"

# Lists of members, in the order in which they lie in their archive, each name ended by a NUL.
arrange -k1,1 -k2,2n -k3,3n -k4,4n "$work/tasks" | awk -F'\t' -v work="$work" '
  BEGIN { for (i = 0; i < 256; i++) { byte[sprintf("%03o", i)] = sprintf("%c", i) } }
  function decode(text, out, at) {
    out = ""
    while ((at = index(text, "\\")) > 0) { out = out substr(text, 1, at - 1) byte[substr(text, at + 2, 3)]; text = substr(text, at + 5) }
    return out text
  }
  { list = work "/list/" $1 "-" $2 "." $5
    if ($1 "-" $2 != archive) { if (archive != "") { close(work "/list/" archive ".direct"); close(work "/list/" archive ".stage") }
      archive = $1 "-" $2; print $1, $2 }
    if ($6 != before[$5] || archive != where[$5]) printf "%s%c", decode($6), 0 > list
    before[$5] = $6; where[$5] = archive }' >"$work/archives"

unpack() { # LIST DIRECTORY OPTION...
  list=$1 into=$2
  shift 2
  tar -x -f - -C "$into" -p --numeric-owner "$@" --warning=no-unknown-keyword --warning=no-timestamp \
    --same-order --no-recursion --null --no-unquote --verbatim-files-from -T "$list"
}

# Files at their own names have the attributes of their members; all others get theirs from the journals.
direct() { unpack "$base.direct" "$target" --xattrs --xattrs-include='*' --acls; }
staged() { unpack "$base.stage" "$stage"; }

extract() { # FILE FIRST
  base=$work/list/$loaded-$1
  stage=$work/stage/$loaded-$1
  [ ! -e "$base.stage" ] || mkdir -p "$stage"
  if [ -e "$base.direct" ] && [ -e "$base.stage" ]; then
    # Not below the target, whose file system may have no FIFOs.
    mkfifo "$pipes/pipe"
    staged <"$pipes/pipe" &
    other=$!
    status=0
    blocks "$1" "$2" 0 - | tee "$pipes/pipe" | direct || status=1
    wait "$other" || status=1
    rm -f "$pipes/pipe"
    return "$status"
  elif [ -e "$base.direct" ]; then blocks "$1" "$2" 0 - | direct
  else blocks "$1" "$2" 0 - | staged; fi
}

# The cartridge that is in the drive goes first.
{ awk -v at="$loaded" '$1 == at' "$work/archives"; awk -v at="$loaded" '$1 != at' "$work/archives"; } >"$work/order"
while read -r barcode file <&3; do
  [ "$loaded" = "$barcode" ] || attach "$barcode" || { say "cartridge $barcode is not to be had"; continue; }
  say "reading $barcode, tape file $file"
  first=$(awk -v b="$barcode" -v f="$file" '$1 == b && $2 == f { print $3; exit }' "$work/files")
  torn=$(awk -v b="$barcode" -v f="$file" '$1 == b && $2 == f { print $4; exit }' "$work/files")
  if ! extract "$file" "$first" && [ "$torn" = no ]; then
    fail "$barcode:$file" 'tar had to complain about this archive'
  fi
  # Only files were asked for. A link in their place could lead what comes next out of the target.
  [ -z "$(find "$target" -type l | head -n 1)" ] || die "tape file $file of $barcode holds links where its journal says files: this cartridge is not to be trusted"
done 3<"$work/order"

# ---- what only the journals know ----------------------------------------------------------------------------------

arrange -k1,1 -k2,2n "$work/parts" >"$work/sorted"
while IFS=$TAB read -r path _ staged; do
  plain "$path"; to=$target$name
  plain "$staged"; from=$work/stage/$name
  if [ -f "$from" ]; then cat "$from" >>"$to" && rm "$from"; else fail "$path" 'a part was not found'; fi
done <"$work/sorted"
while IFS=$TAB read -r path staged; do
  plain "$path"; to=$target$name
  plain "$staged"; from=$work/stage/$name
  if [ -f "$from" ]; then mv -f "$from" "$to"; else fail "$path" 'its member was not found'; fi
done <"$work/moves"
while IFS=$TAB read -r from path how; do
  plain "$from"; old=$target$name
  plain "$path"
  if [ ! -f "$old" ]; then fail "$path" 'the file with its bytes was not found'
  elif [ "$how" = link ]; then ln -f "$old" "$target$name" || fail "$path" 'cannot be linked'
  else cp "$old" "$target$name" || fail "$path" 'cannot be copied'; fi
done <"$work/again"

value_of() { # KEY of $extra; sets $value, escaped
  value=''
  case ";$extra" in *";$1="*) value=${extra#*"$1="} value=${value%%;*} ;; *) return 1 ;; esac
}

make() { # a thing without bytes: type, name in $name, its fields in $extra $size
  case $1 in
    f) [ "$size" != 0 ] || : >>"$target$name" ;;
    l) value_of link; link=$value; path_name=$name; plain "$link"; ln -s -- "$name" "$target$path_name"; name=$path_name ;;
    p) mkfifo "$target$name" ;;
    b | c) value_of device; mknod "$target$name" "$1" "${value%,*}" "${value#*,}" ;;
  esac
}

attributes() { # type; name in $name; fields in $ids $mode $mtime $extra
  to=$target$name
  [ "$(id -u)" != 0 ] || chown -h "$ids" "$to" || return 1
  [ "$1" = l ] || chmod "$mode" "$to" || return 1
  rest=$extra
  while :; do
    case $rest in xattr.*) ;; *';xattr.'*) rest="xattr.${rest#*;xattr.}" ;; *) break ;; esac
    pair=${rest%%;*}
    rest=${rest#"$pair"}
    command -v setfattr >/dev/null || { echo yes >"$work/no-setfattr"; break; }
    plain "${pair#*=}"; value=$name
    pair=${pair%%=*}
    plain "${pair#xattr.}"
    setfattr -h -n "$name" -v "0s$value" "$to" || return 1
  done
  touch -h -m -d "@$mtime" "$to"
}

# Everything that tar did not bring as it was last: directories come last, the deepest first.
{ awk '{ print $0 "\t0" }' "$work/clean"; awk -F'\t' -v OFS='\t' '{ print $1, 1, $7, $9, $10, $11, $12, $15 }' "$work/live"; } |
  arrange -k1,1 -k2,2n | awk -F'\t' '$2 == 0 { clean = $1; next } !($3 == "f" && $1 == clean)' >"$work/rest"
awk -F'\t' '$3 != "d"' "$work/rest" >"$work/finish"
awk -F'\t' '$3 == "d"' "$work/rest" | arrange -r -k1,1 >>"$work/finish"
while IFS=$TAB read -r path _ type size mtime mode ids extra; do
  plain "$path"
  if value_of group && [ "$size" = 0 ] && [ "$type" != d ]; then
    if [ -e "$work/stage/group-$value" ]; then
      ln -P "$work/stage/group-$value" "$target$name" || fail "$path" 'cannot be linked'
      continue
    fi
    group=$work/stage/group-$value
    { make "$type" && ln -P "$target$name" "$group"; } || fail "$path" 'cannot be made'
  else make "$type" || fail "$path" 'cannot be made'; fi
  if [ -e "$target$name" ] || [ -L "$target$name" ]; then attributes "$type" || fail "$path" 'its attributes cannot all be set'
  elif ! grep -qF "$path$TAB" "$work/failed"; then fail "$path" 'was not found'; fi
done <"$work/finish"

# ---- the end ------------------------------------------------------------------------------------------------------

while IFS= read -r path; do
  plain "$path"
  [ -f "$target$name" ] || fail "$path" 'was not found in its archive'
done <"$work/clean"
[ ! -e "$work/no-setfattr" ] || say 'setfattr is not installed: extended attributes of duplicates, changed files, directories and links are missing'
say "$(wc -l <"$work/live") entries restored to $target"
if [ -s "$work/failed" ]; then
  say 'these are not as they should be:'
  sort -u "$work/failed" >&2
  exit 1
fi
