/*
 * records(LAYOUT, TEXT, C0, C1, ...): an aggregate function of SQLite that makes one BLOB of many rows, each a record as LAYOUT
 * says. A listing of a thousand names is then one value, ready for whoever shall have it, where each of ten thousand values would
 * cost more than SQLite takes to find its row. It knows nothing of any table.
 *
 * LAYOUT: 16-bit numbers of the machine's order.
 *   fixed      bytes of a record before its text, at most 256
 *   lengthAt   where the text's length goes, 32 bits
 *   numberAt   where the record's number goes, 64 bits: its place in the BLOB, counted from `firstNumber`
 *   firstNumber
 *   key        the column by which records are ordered; those that are alike keep the order they came in
 *   rowsMax    with more rows than this it fails: SQLITE_TOOBIG
 *   items      how many of the following, at most 64
 *   items of column, at, width (1, 2, 4 or 8 bytes), add, shift: where a column's integer goes, NULL as 0, with `add` added and then
 *   shifted right by `shift` bits, left where that is below zero; it is or-ed to what is there
 *   then `fixed` bytes of template
 * TEXT has characters up to U+00FF, each of which is a byte behind the fixed part, padded with zeros to 8 bytes. No rows: NULL.
 * What does not fit together is refused: SQLITE_MISUSE.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite3ext.h"
SQLITE_EXTENSION_INIT3

#include "extension.h"

enum { kColumns = 24, kFixedMax = 256, kItemsMax = 64, kFirstColumn = 2, kTextMax = 65536 };

typedef struct {
  uint16_t fixed;
  uint16_t length_at;
  uint16_t number_at;
  uint16_t first_number;
  uint16_t key;
  uint16_t rows_max;
  uint16_t items;
} Head;

typedef struct {
  uint16_t column;
  uint16_t at;
  uint16_t width;
  int16_t add;
  int16_t shift;
} Item;

typedef struct {
  sqlite3_int64 key;
  sqlite3_uint64 at;
  uint32_t length;
  uint32_t place; /* as it came */
} Record;

typedef struct {
  char *bytes;
  sqlite3_uint64 length;
  sqlite3_uint64 room;
  Record *records;
  uint32_t count;
  uint32_t records_room;
  int is_unordered;
  Head head;
  Item items[kItemsMax];
  char template[kFixedMax];
} Gathered;

static int take_layout(Gathered *gathered, sqlite3_value *layout, int columns) {
  const char *bytes = sqlite3_value_blob(layout);
  const size_t length = (size_t)sqlite3_value_bytes(layout);
  Head head;
  if (bytes == NULL || length < sizeof head) return SQLITE_MISUSE;
  memcpy(&head, bytes, sizeof head);
  if (head.fixed > kFixedMax || head.key >= columns || head.items > kItemsMax) return SQLITE_MISUSE;
  const size_t items_length = head.items * sizeof(Item);
  if (length != sizeof head + items_length + head.fixed) return SQLITE_MISUSE;
  if (head.length_at + 4 > head.fixed || head.number_at + 8 > head.fixed) return SQLITE_MISUSE;
  memcpy(gathered->items, bytes + sizeof head, items_length);
  memcpy(gathered->template, bytes + sizeof head + items_length, head.fixed);
  for (int index = 0; index < head.items; index += 1) {
    const Item item = gathered->items[index];
    const int is_width = item.width == 1 || item.width == 2 || item.width == 4 || item.width == 8;
    const int is_shift = item.shift > -64 && item.shift < 64;
    if (!is_width || !is_shift || item.column >= columns || item.at + item.width > head.fixed) return SQLITE_MISUSE;
  }
  gathered->head = head;
  return SQLITE_OK;
}

/* Room for one more record of so many bytes. */
static int reserve(Gathered *gathered, size_t length) {
  if (gathered->length + length > gathered->room) {
    const sqlite3_uint64 room = (gathered->room + length) * 2 + 65536;
    char *bytes = sqlite3_realloc64(gathered->bytes, room);
    if (bytes == NULL) return SQLITE_NOMEM;
    gathered->bytes = bytes;
    gathered->room = room;
  }
  if (gathered->count == gathered->records_room) {
    const uint32_t room = gathered->records_room * 2 + 512;
    Record *records = sqlite3_realloc64(gathered->records, room * sizeof *records);
    if (records == NULL) return SQLITE_NOMEM;
    gathered->records = records;
    gathered->records_room = room;
  }
  return SQLITE_OK;
}

/* A byte for each character; the number of bytes, or -1 where one is above U+00FF. */
static int put_text(char *to, const unsigned char *text, int length) {
  char *const start = to;
  for (int index = 0; index < length; index += 1) {
    const unsigned char first = text[index];
    if (first < 0x80) {
      *to++ = (char)first;
    } else {
      if ((first & 0xfc) != 0xc0 || index + 1 == length) return -1;
      index += 1;
      *to++ = (char)((first & 3) << 6 | (text[index] & 0x3f));
    }
  }
  return (int)(to - start);
}

static void put(char *to, sqlite3_uint64 value, int width) {
  if (width == 8) {
    sqlite3_uint64 there;
    memcpy(&there, to, sizeof there);
    there |= value;
    memcpy(to, &there, sizeof there);
  } else if (width == 4) {
    uint32_t there;
    memcpy(&there, to, sizeof there);
    there |= (uint32_t)value;
    memcpy(to, &there, sizeof there);
  } else if (width == 2) {
    uint16_t there;
    memcpy(&there, to, sizeof there);
    there = (uint16_t)(there | value);
    memcpy(to, &there, sizeof there);
  } else {
    *to = (char)(unsigned char)((unsigned char)*to | value);
  }
}

static sqlite3_uint64 shifted(sqlite3_uint64 value, int shift) { return shift < 0 ? value << -shift : value >> shift; }

static int add(Gathered *gathered, int argc, sqlite3_value **argv) {
  const int columns = argc - kFirstColumn;
  if (gathered->count == 0) {
    const int error = take_layout(gathered, argv[0], columns);
    if (error != SQLITE_OK) return error;
  }
  const Head *head = &gathered->head;
  if (gathered->count == head->rows_max) return SQLITE_TOOBIG;
  const unsigned char *text = sqlite3_value_text(argv[1]);
  const int text_length = sqlite3_value_bytes(argv[1]);
  if (text == NULL || text_length > kTextMax) return SQLITE_MISUSE;
  const int error = reserve(gathered, head->fixed + (size_t)text_length + 8);
  if (error != SQLITE_OK) return error;

  char *const record = gathered->bytes + gathered->length;
  memcpy(record, gathered->template, head->fixed);
  sqlite3_int64 values[kColumns];
  for (int column = 0; column < columns; column += 1) values[column] = sqlite3_value_int64(argv[kFirstColumn + column]);
  for (int index = 0; index < head->items; index += 1) {
    const Item item = gathered->items[index];
    const sqlite3_uint64 value = (sqlite3_uint64)values[item.column] + (sqlite3_uint64)(sqlite3_int64)item.add;
    put(record + item.at, shifted(value, item.shift), item.width);
  }
  const int written = put_text(record + head->fixed, text, text_length);
  if (written < 0) return SQLITE_MISUSE;
  put(record + head->length_at, (sqlite3_uint64)written, 4);
  const uint32_t used = head->fixed + (uint32_t)written;
  const uint32_t length = (used + 7) & ~(uint32_t)7;
  memset(record + used, 0, length - used);

  const sqlite3_int64 key = values[head->key];
  const uint32_t place = gathered->count;
  if (place > 0 && key < gathered->records[place - 1].key) gathered->is_unordered = 1;
  gathered->records[place] = (Record){key, gathered->length, length, place};
  gathered->length += length;
  gathered->count += 1;
  return SQLITE_OK;
}

static void step(sqlite3_context *context, int argc, sqlite3_value **argv) {
  if (argc <= kFirstColumn || argc - kFirstColumn > kColumns) {
    sqlite3_result_error_code(context, SQLITE_MISUSE);
    return;
  }
  Gathered *gathered = sqlite3_aggregate_context(context, sizeof *gathered);
  const int error = gathered == NULL ? SQLITE_NOMEM : add(gathered, argc, argv);
  if (error != SQLITE_OK) sqlite3_result_error_code(context, error);
}

static int compare(const void *left, const void *right) {
  const Record *a = left;
  const Record *b = right;
  if (a->key != b->key) return a->key < b->key ? -1 : 1;
  return a->place < b->place ? -1 : 1;
}

/* The records in their order, in memory of their own; NULL where there is none. */
static char *ordered(const Gathered *gathered) {
  char *bytes = sqlite3_malloc64(gathered->length);
  if (bytes == NULL) return NULL;
  char *to = bytes;
  for (uint32_t index = 0; index < gathered->count; index += 1) {
    Record *record = &gathered->records[index];
    memcpy(to, gathered->bytes + record->at, record->length);
    record->at = (sqlite3_uint64)(to - bytes);
    to += record->length;
  }
  return bytes;
}

static void finish(sqlite3_context *context) {
  Gathered *gathered = sqlite3_aggregate_context(context, 0);
  if (gathered == NULL) {
    sqlite3_result_null(context);
    return;
  }
  const Head *head = &gathered->head;
  int is_whole = gathered->count > 0;
  if (is_whole && gathered->is_unordered) {
    qsort(gathered->records, gathered->count, sizeof *gathered->records, compare);
    char *bytes = ordered(gathered);
    is_whole = bytes != NULL;
    sqlite3_free(gathered->bytes);
    gathered->bytes = bytes;
    if (!is_whole) sqlite3_result_error_nomem(context);
  }
  if (is_whole) {
    for (uint32_t index = 0; index < gathered->count; index += 1)
      put(gathered->bytes + gathered->records[index].at + head->number_at, (sqlite3_uint64)head->first_number + index, 8);
    sqlite3_result_blob64(context, gathered->bytes, gathered->length, sqlite3_free);
    gathered->bytes = NULL;
  }
  sqlite3_free(gathered->bytes);
  sqlite3_free(gathered->records);
}

int add_records(sqlite3 *db) {
  const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
  return sqlite3_create_function_v2(db, "records", -1, flags, NULL, NULL, step, finish, NULL);
}
