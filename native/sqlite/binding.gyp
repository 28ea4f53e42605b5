{
  'targets': [
    {
      'target_name': 'sqlite',
      'sources': ['src/extension.c', 'src/packed.c', 'src/records.c'],
      # Of the very SQLite that loads it.
      'include_dirs': ['<!(node -p "require(\'path\').dirname(require.resolve(\'better-sqlite3/package.json\')) + \'/deps/sqlite3\'")'],
      'cflags': ['-Wall', '-Wextra', '-Werror', '-fvisibility=hidden'],
      'cflags_c': ['-std=c17'],
      'configurations': {
        'Debug': {
          'cflags!': ['-O0'],
          'cflags': ['-O1', '-g', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
          'ldflags': ['-fsanitize=address,undefined'],
        },
      },
    },
  ],
}
