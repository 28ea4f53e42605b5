/* What SQLite is given when it loads the extension. Each returns a result code of SQLite. */
#pragma once

int add_packed(sqlite3 *db);
int add_records(sqlite3 *db);
