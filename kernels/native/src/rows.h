// Rows of a growing stream; only the last part is stored.
#pragma once

#include <algorithm>
#include <vector>

#include "failure.h"
#include "kernels.h"

namespace punctum {

// float32 rows [base, end) by absolute index. Width 0 keeps nothing and counts only.
class Rows {
 public:
  Rows() = default;
  explicit Rows(Index width, Index base = 0) : width_(width), base_(base), end_(base) {}

  Index base() const { return base_; }
  Index end() const { return end_; }
  Index width() const { return width_; }
  std::size_t bytes() const { return data_.capacity() * sizeof(float); }
  const float* kept() const { return data_.data() + low_; }

  // Rows [start, stop); nullptr if rows are not stored. A request outside the stored range is a bug of this library.
  const float* slice(Index start, Index stop) const {
    if (start < base_ || stop > end_ || start > stop) {
      fail(PUNCTUM_ERROR_INTERNAL, "rows", "rows " + std::to_string(start) + ".." + std::to_string(stop) + " of " +
                                               std::to_string(base_) + ".." + std::to_string(end_));
    }
    return width_ == 0 ? nullptr : data_.data() + low_ + static_cast<std::size_t>((start - base_) * width_);
  }

  void append(const float* rows, Index count) {
    if (width_ > 0 && count > 0) {
      const std::size_t more = static_cast<std::size_t>(count * width_);
      if (data_.size() + more > data_.capacity() && low_ > 0) {
        const std::size_t live = data_.size() - low_;
        if (live + more <= data_.capacity() / 2) {  // room enough once the live rows move to the front
          std::copy(data_.begin() + static_cast<std::ptrdiff_t>(low_), data_.end(), data_.begin());
          data_.resize(live);
        } else {
          std::vector<float> grown;
          grown.reserve(2 * (live + more));
          grown.assign(data_.begin() + static_cast<std::ptrdiff_t>(low_), data_.end());
          data_.swap(grown);
        }
        low_ = 0;
      }
      data_.insert(data_.end(), rows, rows + more);
    }
    end_ += count;
  }

  // Forget rows before `index`; a buffer that once held much gives its memory back.
  void drop_before(Index index) {
    const Index step = std::min(std::max<Index>(index - base_, 0), end_ - base_);
    low_ += static_cast<std::size_t>(step * width_);
    base_ += step;
    const std::size_t live = data_.size() - low_;
    if (data_.capacity() > 65536 && live < data_.capacity() / 8) {
      std::vector<float> kept;
      kept.reserve(2 * live + 64);
      kept.assign(data_.begin() + static_cast<std::ptrdiff_t>(low_), data_.end());
      data_.swap(kept);
      low_ = 0;
    }
  }

 private:
  Index width_ = 0, base_ = 0, end_ = 0;
  std::size_t low_ = 0;  // floats of data_ that are forgotten
  std::vector<float> data_;
};

}  // namespace punctum
