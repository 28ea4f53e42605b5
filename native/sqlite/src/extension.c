/* The extension's beginning: adds its functions to a connection. */
#include "sqlite3ext.h"
SQLITE_EXTENSION_INIT1

#include "extension.h"

__attribute__((visibility("default"))) int sqlite3_extension_init(sqlite3 *db, char **error, const sqlite3_api_routines *api) {
  (void)error;
  SQLITE_EXTENSION_INIT2(api);
  const int result = add_packed(db);
  return result == SQLITE_OK ? add_records(db) : result;
}
