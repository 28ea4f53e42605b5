/** The door as JavaScript sees it: src/source/door.ts has the list, with what each call means. */
#include "door.h"

namespace {

/** What its calls take, answer and do: raised with each change of that, here and in src/source/door.ts. */
constexpr double kRevision = 1;

Napi::Object start(Napi::Env env, Napi::Object exports) {
  export_attributes(env, exports);
  export_directory(env, exports);
  export_files(env, exports);
  export_lines(env, exports);
  export_owners(env, exports);
  export_tree(env, exports);
  exports.Set("revision", kRevision);
  return exports;
}

}  // namespace

NODE_API_MODULE(NODE_GYP_MODULE_NAME, start)
