/* The extension's beginning: adds its functions to a connection. */
#include <stddef.h>

#include "sqlite3ext.h"
SQLITE_EXTENSION_INIT1

#include "extension.h"

/* What its functions take, answer and do: raised with each change of that, here and in src/catalog/native.ts. */
static const int kRevision = 1;

static void revision(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  (void)values;
  sqlite3_result_int(context, kRevision);
}

__attribute__((visibility("default"))) int sqlite3_extension_init(sqlite3 *db, char **error, const sqlite3_api_routines *api) {
  (void)error;
  SQLITE_EXTENSION_INIT2(api);
  int result = sqlite3_create_function(db, "shelfs_revision", 0, SQLITE_UTF8, NULL, revision, NULL, NULL);
  if (result == SQLITE_OK) result = add_packed(db);
  return result == SQLITE_OK ? add_records(db) : result;
}
