// Snapshots that were changed and whose checksum fits again: refused, or a session that can be used without harm.
#include "bytes.h"
#include "input.h"
#include "stream.h"

namespace {

// Snapshots of sessions in several states: both modes, with and without features, with open reports, breaks, losses.
std::vector<std::vector<unsigned char>>& bases(const punctum_plan* plan) {
  static auto& made = *new std::vector<std::vector<unsigned char>>;
  for (int k = 0; made.size() < 12; ++k) {
    punctum_session_options options = PUNCTUM_SESSION_OPTIONS_INIT;
    options.stream = "s";
    options.mode = k % 2;
    options.keep_features = options.mode;
    options.max_delay_s = k % 3 ? 0.6 : 0.0;
    const stream::SessionPtr session = stream::open(plan, options);
    const std::size_t count = static_cast<std::size_t>(20 + 13 * k);
    const std::vector<float> rows = stream::tracks(static_cast<std::uint64_t>(k), count);
    punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
    const punctum_loss lost = {3, 2};
    chunk.count = count;
    chunk.lost = &lost;
    chunk.lost_count = 1;
    (options.mode == PUNCTUM_MODE_TRACKS ? chunk.tracks : chunk.features) = rows.data();
    std::vector<std::string> said;
    HOLD(punctum_push(session.get(), &chunk, nullptr) == PUNCTUM_OK && stream::serve(session.get(), said));
    if (k % 4 == 3) HOLD(punctum_gap(session.get(), 99.0, nullptr) == PUNCTUM_OK && stream::serve(session.get(), said));
    size_t needed = 0;
    punctum_snapshot(session.get(), nullptr, 0, &needed, nullptr);
    made.emplace_back(needed);
    HOLD(punctum_snapshot(session.get(), made.back().data(), needed, &needed, nullptr) == PUNCTUM_OK);
  }
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const punctum_plan* plan = stream::plan(stream::manifest(stream::with_head())).release();
  static const std::vector<std::vector<unsigned char>>& states = bases(plan);
  Input in(data, size);
  std::vector<unsigned char> bytes = states[in.below(12)];
  bytes.resize(bytes.size() - 8);
  while (in.left() > 4) {
    const std::size_t at = in.wide() % bytes.size();
    switch (in.below(4)) {
      case 0: bytes[at] = in.byte(); break;
      case 1: bytes[at] = static_cast<unsigned char>(bytes[at] + in.below(5) - 2); break;
      case 2: bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), in.byte()); break;
      default: bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at)); break;
    }
    if (bytes.size() < 16) return 0;
  }
  const std::uint64_t sum = punctum::checksum(bytes.data(), bytes.size());
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<unsigned char>(sum >> (8 * i) & 0xFF));
  punctum_session* made = nullptr;
  punctum_error error = {};
  if (sound(punctum_session_restore(plan, bytes.data(), bytes.size(), &made, &error), error) != PUNCTUM_OK) return 0;
  const stream::SessionPtr session(made);
  std::vector<std::string> said;
  const std::vector<float> rows = stream::tracks(99, 40);
  punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
  chunk.count = 40;
  chunk.tracks = rows.data();
  if (punctum_push(made, &chunk, &error) == PUNCTUM_ERROR_ARGUMENT) {
    chunk.tracks = nullptr;
    chunk.features = rows.data();
    sound(punctum_push(made, &chunk, &error), error);
  }
  stream::serve(made, said);
  sound(punctum_flush(made, &error), error);
  stream::serve(made, said);
  sound(punctum_reset(made, 0.0, &error), error);
  return 0;
}
