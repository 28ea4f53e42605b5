// The control port: what the hand of a person, a failing part or another host would do, one text line a connection.
#pragma once

#include <functional>
#include <string>

#include "library.h"

// Carries out one line and returns the answer: "ok", what was asked for, or "error: " and a sentence.
// `disconnect` drops the host's connection, as a pulled cable would.
std::string control(Library &library, const std::string &line, const std::function<void()> &disconnect);
