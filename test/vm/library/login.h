// iSCSI login: both sides agree on how they will talk (RFC 7143 sections 6, 11.12 and 13).
#pragma once

#include "connection.h"

// Answers one login request. True when the connection now is in full feature phase.
bool answerLogin(Connection &connection, const Pdu &request);
