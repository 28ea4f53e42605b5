/*
 * packed(NUMBERS, WIDTH, TEXTS, TEXT_COUNT, BYTES): a table-valued function of SQLite that gives rows from packed columns.
 *
 * One call of a statement then writes or looks up hundreds of rows, and each value costs a few nanoseconds instead of a call
 * into the statement. It knows nothing of any table.
 *
 * NUMBERS: BLOB of doubles in the machine's order, WIDTH a row, which are columns n0, n1, ...: integers, NULL for a NaN.
 * TEXTS: TEXT of TEXT_COUNT values a row, each ended by NUL, which are t0 and t1. BYTES: BLOB cut evenly, a piece a row: b0.
 * Arguments left out at the end, or NULL: there are none of them. What does not fit together is refused: SQLITE_MISUSE.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "sqlite3ext.h"
SQLITE_EXTENSION_INIT3

#include "extension.h"

enum {
  kNumbers = 16,
  kTexts = 2,
  kFirstText = kNumbers,
  kBytes = kFirstText + kTexts,
  /* Hidden columns: the arguments, in their order. */
  kFirstArgument,
  kArguments = 5
};

/* Number.MAX_SAFE_INTEGER */
static const double kSafe = 9007199254740991.0;

static const char kTable[] =
    "CREATE TABLE x(n0 INT,n1 INT,n2 INT,n3 INT,n4 INT,n5 INT,n6 INT,n7 INT,n8 INT,n9 INT,n10 INT,n11 INT,n12 INT,n13 INT,"
    "n14 INT,n15 INT,t0 TEXT,t1 TEXT,b0 BLOB,"
    "numbers HIDDEN,width HIDDEN,texts HIDDEN,text_count HIDDEN,bytes HIDDEN)";

typedef struct {
  sqlite3_vtab_cursor base;
  /* Copies of the arguments, in one piece. */
  char *memory;
  const char *numbers;
  const char *texts_end;
  const char *bytes;
  int width;
  int text_count;
  int piece; /* bytes of a row */
  sqlite3_int64 rows;
  sqlite3_int64 row;
  const char *text[kTexts]; /* of this row */
  int text_length[kTexts];
  const char *next_text;
} Cursor;

static int connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **table, char **error) {
  (void)aux, (void)argc, (void)argv, (void)error;
  /* Not from the schema of a file that somebody else has made. */
  sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  const int result = sqlite3_declare_vtab(db, kTable);
  if (result != SQLITE_OK) return result;
  *table = sqlite3_malloc(sizeof **table);
  if (*table == NULL) return SQLITE_NOMEM;
  memset(*table, 0, sizeof **table);
  return SQLITE_OK;
}

static int disconnect(sqlite3_vtab *table) {
  sqlite3_free(table);
  return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *table, sqlite3_vtab_cursor **cursor) {
  (void)table;
  Cursor *made = sqlite3_malloc(sizeof *made);
  if (made == NULL) return SQLITE_NOMEM;
  memset(made, 0, sizeof *made);
  *cursor = &made->base;
  return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *base) {
  Cursor *cursor = (Cursor *)base;
  sqlite3_free(cursor->memory);
  sqlite3_free(cursor);
  return SQLITE_OK;
}

/* Which arguments are given is told to filter() by a bit each. */
static int best_index(sqlite3_vtab *table, sqlite3_index_info *info) {
  (void)table;
  int found[kArguments];
  for (int number = 0; number < kArguments; number += 1) found[number] = -1;
  for (int index = 0; index < info->nConstraint; index += 1) {
    const int number = info->aConstraint[index].iColumn - kFirstArgument;
    if (number < 0 || info->aConstraint[index].op != SQLITE_INDEX_CONSTRAINT_EQ) continue;
    if (!info->aConstraint[index].usable) return SQLITE_CONSTRAINT;
    found[number] = index;
  }
  int given = 0;
  for (int number = 0; number < kArguments; number += 1) {
    if (found[number] < 0) continue;
    info->idxNum |= 1 << number;
    given += 1;
    info->aConstraintUsage[found[number]].argvIndex = given;
    info->aConstraintUsage[found[number]].omit = 1;
  }
  /* Always the outer loop of a join: its rows are looked up elsewhere. */
  info->estimatedCost = 10;
  info->estimatedRows = 100;
  return SQLITE_OK;
}

/* The texts of the row; those that are not ended are refused. */
static int take_texts(Cursor *cursor) {
  for (int index = 0; index < cursor->text_count; index += 1) {
    const size_t left = (size_t)(cursor->texts_end - cursor->next_text);
    const char *end = left == 0 ? NULL : memchr(cursor->next_text, 0, left);
    if (end == NULL) return SQLITE_MISUSE;
    cursor->text[index] = cursor->next_text;
    cursor->text_length[index] = (int)(end - cursor->next_text);
    cursor->next_text = end + 1;
  }
  return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *base, int given, const char *name, int argc, sqlite3_value **argv) {
  (void)name;
  Cursor *cursor = (Cursor *)base;
  sqlite3_value *values[kArguments] = {NULL};
  int count = 0;
  for (int number = 0; number < kArguments; number += 1)
    if ((given >> number & 1) != 0 && count < argc) values[number] = argv[count++];
  const int width = values[1] != NULL ? sqlite3_value_int(values[1]) : 0;
  const int text_count = values[3] != NULL ? sqlite3_value_int(values[3]) : 0;
  if (values[0] == NULL || width < 1 || width > kNumbers || text_count < 0 || text_count > kTexts) return SQLITE_MISUSE;
  /* The pointer before the length, as sqlite3_value_bytes() asks. */
  const void *numbers = sqlite3_value_blob(values[0]);
  const int numbers_length = sqlite3_value_bytes(values[0]);
  const void *texts = values[2] != NULL ? (const void *)sqlite3_value_text(values[2]) : NULL;
  const int texts_length = texts != NULL ? sqlite3_value_bytes(values[2]) : 0;
  const void *bytes = values[4] != NULL ? sqlite3_value_blob(values[4]) : NULL;
  const int bytes_length = bytes != NULL ? sqlite3_value_bytes(values[4]) : 0;
  const sqlite3_int64 row_length = (sqlite3_int64)width * (sqlite3_int64)sizeof(double);
  if (numbers_length % row_length != 0) return SQLITE_MISUSE;
  const sqlite3_int64 rows = numbers_length / row_length;
  if (rows > 0 && bytes_length % rows != 0) return SQLITE_MISUSE;

  sqlite3_free(cursor->memory);
  cursor->memory = sqlite3_malloc64((sqlite3_uint64)numbers_length + (sqlite3_uint64)texts_length + (sqlite3_uint64)bytes_length + 1);
  if (cursor->memory == NULL) return SQLITE_NOMEM;
  char *at = cursor->memory;
  cursor->numbers = at;
  if (numbers_length > 0) memcpy(at, numbers, (size_t)numbers_length);
  at += numbers_length;
  cursor->next_text = at;
  if (texts_length > 0) memcpy(at, texts, (size_t)texts_length);
  at += texts_length;
  cursor->texts_end = at;
  cursor->bytes = at;
  if (bytes_length > 0) memcpy(at, bytes, (size_t)bytes_length);
  cursor->width = width;
  cursor->text_count = text_count;
  cursor->rows = rows;
  cursor->row = 0;
  cursor->piece = rows > 0 ? (int)(bytes_length / rows) : 0;
  return rows > 0 ? take_texts(cursor) : SQLITE_OK;
}

static int next(sqlite3_vtab_cursor *base) {
  Cursor *cursor = (Cursor *)base;
  cursor->row += 1;
  return cursor->row < cursor->rows ? take_texts(cursor) : SQLITE_OK;
}

static int eof(sqlite3_vtab_cursor *base) {
  const Cursor *cursor = (const Cursor *)base;
  return cursor->row >= cursor->rows;
}

/* Values live as long as the cursor, which is longer than any row is used. */
static int column(sqlite3_vtab_cursor *base, sqlite3_context *context, int index) {
  const Cursor *cursor = (const Cursor *)base;
  if (index < cursor->width) {
    double number;
    memcpy(&number, cursor->numbers + (cursor->row * cursor->width + index) * (sqlite3_int64)sizeof number, sizeof number);
    if (fabs(number) <= kSafe) sqlite3_result_int64(context, (sqlite3_int64)number);
    else if (!isnan(number)) sqlite3_result_double(context, number);
  } else if (index >= kFirstText && index < kFirstText + cursor->text_count) {
    const int text = index - kFirstText;
    sqlite3_result_text(context, cursor->text[text], cursor->text_length[text], SQLITE_STATIC);
  } else if (index == kBytes && cursor->piece > 0) {
    sqlite3_result_blob(context, cursor->bytes + cursor->row * cursor->piece, cursor->piece, SQLITE_STATIC);
  }
  return SQLITE_OK;
}

static int rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *row) {
  *row = ((const Cursor *)base)->row;
  return SQLITE_OK;
}

static const sqlite3_module kModule = {
    .iVersion = 0,
    .xConnect = connect,
    .xBestIndex = best_index,
    .xDisconnect = disconnect,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next,
    .xEof = eof,
    .xColumn = column,
    .xRowid = rowid,
};

int add_packed(sqlite3 *db) { return sqlite3_create_module(db, "packed", &kModule, NULL); }
