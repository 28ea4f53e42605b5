{
  'targets': [
    {
      'target_name': 'fuse',
      'sources': ['src/door.cc', 'src/handle.cc', 'src/listing.cc', 'src/mount.cc', 'src/office.cc', 'src/page-pipe.cc', 'src/queue.cc', 'src/request.cc', 'src/serving.cc', 'src/session.cc', 'src/threads.cc'],
      'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
      'defines': [
        'NAPI_VERSION=8',
        'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
        'NODE_ADDON_API_DISABLE_DEPRECATED',
        # A worker that is being terminated cannot be thrown into: not worth an abort.
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      ],
      'cflags': ['-Wall', '-Wextra', '-Werror', '-fvisibility=hidden'],
      # The last -std wins over the one of the Node headers.
      'cflags_cc': ['-std=c++17', '-fno-exceptions'],
      # A terminated worker unloads its addons while a thread of ours may still be in the kernel: stay in memory.
      'ldflags': ['-Wl,-z,nodelete'],
      'configurations': {
        'Debug': {
          'cflags!': ['-O0'],
          'cflags': ['-O1', '-g', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fno-sanitize=vptr', '-fno-sanitize-recover=undefined'],
          'ldflags': ['-fsanitize=address,undefined'],
        },
      },
    },
  ],
}
