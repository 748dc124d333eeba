#include <charconv>
#include <cstdlib>

#include "json.h"

namespace punctum::json {

void quote(std::string_view text, std::string& out) {
  static constexpr char hex[] = "0123456789abcdef";
  out.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        if (byte < 0x20) {
          out += "\\u00";
          out.push_back(hex[byte >> 4]);
          out.push_back(hex[byte & 15]);
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
}

void number(double value, std::string& out) {
  if (!(value - value == 0.0)) {  // JSON has no word for infinity and NaN
    out += "null";
    return;
  }
  // Digits and exponent of the shortest form, then Python's layout: an exponent below 1e-4 and from 1e16 on.
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  if (text.front() == '-') {
    out.push_back('-');
    text.remove_prefix(1);
  }
  const std::size_t e = text.find('e');
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  const int power = std::atoi(std::string(text.substr(e + 1)).c_str());
  const int count = static_cast<int>(digits.size());
  if (power < -4 || power >= 16) {
    out.push_back(digits[0]);
    if (count > 1) (out += '.') += digits.substr(1);
    const std::string size = std::to_string(std::abs(power));
    (out += power < 0 ? "e-" : "e+") += size.size() < 2 ? "0" + size : size;
  } else if (power < 0) {
    ((out += "0.") += std::string(static_cast<std::size_t>(-power - 1), '0')) += digits;
  } else if (power + 1 >= count) {
    ((out += digits) += std::string(static_cast<std::size_t>(power + 1 - count), '0')) += ".0";
  } else {
    const auto point = static_cast<std::size_t>(power + 1);
    ((out += digits.substr(0, point)) += '.') += digits.substr(point);
  }
}

}  // namespace punctum::json
