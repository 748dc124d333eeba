// Manifests: any bytes are read or refused, and what was read makes a session that works.
#include "input.h"
#include "json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  punctum_plan* plan = nullptr;
  punctum_error error = {};
  if (sound(punctum_plan_from_manifest(reinterpret_cast<const char*>(data), size, &plan, &error), error) != PUNCTUM_OK) {
    HOLD(!plan);
    return 0;
  }
  punctum_plan_info info = PUNCTUM_PLAN_INFO_INIT;
  HOLD(punctum_plan_describe(plan, &info, nullptr) == PUNCTUM_OK);
  HOLD(info.classes >= 1 && info.dim >= 1 && info.stride_s > 0 && info.look_ahead_s >= 0 && info.context >= 1);
  for (std::size_t i = 0; i < info.classes; ++i) HOLD(punctum::json::is_text(punctum_plan_label(plan, i)));
  punctum_session* session = nullptr;
  punctum_session_options options = PUNCTUM_SESSION_OPTIONS_INIT;
  options.max_delay_s = size % 2 ? 1.0 : 0.0;
  if (info.classes < 100 && sound(punctum_session_create(plan, &options, &session, &error), error) == PUNCTUM_OK) {
    const std::size_t width = info.classes + 1;
    std::vector<float> rows(30 * width, 0.0f);
    for (std::size_t i = 5 * width; i < 20 * width; ++i) rows[i] = 0.95f;
    sound(punctum_push_tracks(session, rows.data(), 30, &error), error);
    sound(punctum_flush(session, &error), error);
    punctum_session_free(session);
  }
  punctum_plan_free(plan);
  return 0;
}
