/* A GStreamer element that turns a stream of tracks into events, posted as messages on the bus.
 *
 *   gst-launch-1.0 -m filesrc location=tracks.f32 ! application/x-punctum-tracks,columns=4 ! \
 *       punctum manifest=bundle/manifest.json ! fakesink
 *
 * Buffers hold settled rows of float32 (see PUNCTUM_MODE_TRACKS); they need not end with a row. They pass unchanged, so
 * that more may follow. In a stream in time, a buffer's time that is half a snippet late is a gap. Each event is an
 * element message `punctum-event` with the fields of punctum_event. A bundle whose scores need the center scorer is
 * refused unless degraded=true selects reduced scoring without it.
 */
#include <gst/base/gstadapter.h>
#include <gst/base/gstbasetransform.h>
#include <gst/gst.h>
#include <punctum.h>

G_DECLARE_FINAL_TYPE(GstPunctum, gst_punctum, GST, PUNCTUM, GstBaseTransform)
struct _GstPunctum {
  GstBaseTransform parent;
  gchar* manifest;
  gchar* stream;
  gdouble max_delay;
  gboolean degraded;
  GstAdapter* adapter;
  punctum_plan* plan;
  punctum_session* session;
  guint columns;
};
G_DEFINE_FINAL_TYPE(GstPunctum, gst_punctum, GST_TYPE_BASE_TRANSFORM)

enum { PROP_MANIFEST = 1, PROP_STREAM, PROP_MAX_DELAY, PROP_DEGRADED };

static void free_session(GstPunctum* self) {
  punctum_session_free(self->session);
  punctum_plan_free(self->plan);
  self->session = NULL;
  self->plan = NULL;
  gst_adapter_clear(self->adapter);
}

/* Post what there is to say. */
static gboolean say(GstPunctum* self) {
  punctum_event e = PUNCTUM_EVENT_INIT;
  punctum_error error;
  punctum_status status;
  while ((status = punctum_poll(self->session, &e, &error)) == PUNCTUM_OK) {
    GstStructure* fields = gst_structure_new(
        "punctum-event", "stream", G_TYPE_STRING, e.stream, "event", G_TYPE_STRING, e.id, "revision", G_TYPE_INT64,
        e.revision, "phase", G_TYPE_STRING, punctum_phase_name(e.phase), "label", G_TYPE_STRING, e.label, "score",
        G_TYPE_DOUBLE, e.score, "start", G_TYPE_DOUBLE, e.start, "end", G_TYPE_DOUBLE, e.end, "emitted-at",
        G_TYPE_DOUBLE, e.emitted_at, "delay", G_TYPE_DOUBLE, e.delay_s, "bundle", G_TYPE_STRING, e.bundle, "ended",
        G_TYPE_BOOLEAN, e.ended, "dropped", G_TYPE_INT64, e.dropped, "interrupted", G_TYPE_BOOLEAN, e.interrupted,
        "degraded", G_TYPE_BOOLEAN, e.degraded, NULL);
    gst_element_post_message(GST_ELEMENT(self), gst_message_new_element(GST_OBJECT(self), fields));
  }
  if (status != PUNCTUM_EMPTY) GST_ELEMENT_ERROR(self, STREAM, FAILED, ("%s", error.message), (NULL));
  return status == PUNCTUM_EMPTY;
}

static gboolean start(GstBaseTransform* base) {
  GstPunctum* self = GST_PUNCTUM(base);
  punctum_session_options options = PUNCTUM_SESSION_OPTIONS_INIT;
  punctum_plan_info info = PUNCTUM_PLAN_INFO_INIT;
  punctum_error error;
  gchar* text = NULL;
  gsize size = 0;
  GError* reason = NULL;
  if (!self->manifest || !g_file_get_contents(self->manifest, &text, &size, &reason)) {
    const gchar* why = reason ? reason->message : "set the property manifest";
    GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ, ("%s", why), (NULL));
    g_clear_error(&reason);
    return FALSE;
  }
  options.stream = self->stream;
  options.max_delay_s = self->max_delay;
  const gboolean made = punctum_plan_from_manifest(text, size, &self->plan, &error) == PUNCTUM_OK &&
                        punctum_plan_describe(self->plan, &info, &error) == PUNCTUM_OK &&
                        punctum_session_create(self->plan, &options, &self->session, &error) == PUNCTUM_OK &&
                        punctum_set_degraded(self->session, self->degraded, &error) == PUNCTUM_OK;
  g_free(text);
  if (!made) {
    GST_ELEMENT_ERROR(self, LIBRARY, SETTINGS, ("%s", error.message), (NULL));
  } else if (info.needs_scores && !self->degraded) {
    GST_ELEMENT_ERROR(self, LIBRARY, SETTINGS, ("This bundle needs its center scorer; set degraded=true to run without it."),
                      (NULL));
  } else {
    self->columns = (guint)info.classes + 1;
    return TRUE;
  }
  free_session(self);
  return FALSE;
}

static gboolean stop(GstBaseTransform* base) {
  free_session(GST_PUNCTUM(base));
  return TRUE;
}

static gboolean set_caps(GstBaseTransform* base, GstCaps* in, GstCaps* out) {
  GstPunctum* self = GST_PUNCTUM(base);
  gint columns = 0;
  (void)out;
  gst_structure_get_int(gst_caps_get_structure(in, 0), "columns", &columns);
  if ((guint)columns == self->columns) return TRUE;
  GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("The stream has %d columns, the bundle %u.", columns, self->columns),
                    (NULL));
  return FALSE;
}

static gboolean refused(GstPunctum* self, const punctum_error* error) {
  GST_ELEMENT_ERROR(self, STREAM, FAILED, ("%s", error->message), (NULL));
  return FALSE;
}

/* Push the whole rows that have come together. */
static gboolean push(GstPunctum* self, GstClockTime pts) {
  const gsize row = self->columns * sizeof(float), count = gst_adapter_available(self->adapter) / row;
  punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
  punctum_error error;
  if (count == 0) return TRUE;
  float* rows = gst_adapter_take(self->adapter, count * row); /* aligned, which a view of the buffers may not be */
  chunk.tracks = rows;
  chunk.count = count;
  chunk.has_at = GST_CLOCK_TIME_IS_VALID(pts);
  chunk.at_s = chunk.has_at ? (double)pts / GST_SECOND : 0.0;
  const punctum_status status = punctum_push(self->session, &chunk, &error);
  g_free(rows);
  return status == PUNCTUM_OK ? say(self) : refused(self, &error);
}

static GstFlowReturn transform_ip(GstBaseTransform* base, GstBuffer* buffer) {
  GstPunctum* self = GST_PUNCTUM(base);
  /* A time belongs to the first byte of a buffer; with half a row waiting it says nothing of a row. */
  const gboolean timed = base->segment.format == GST_FORMAT_TIME && gst_adapter_available(self->adapter) == 0;
  const GstClockTime pts = timed ? GST_BUFFER_PTS(buffer) : GST_CLOCK_TIME_NONE;
  gst_adapter_push(self->adapter, gst_buffer_ref(buffer));
  return push(self, pts) ? GST_FLOW_OK : GST_FLOW_ERROR;
}

static gboolean sink_event(GstBaseTransform* base, GstEvent* event) {
  GstPunctum* self = GST_PUNCTUM(base);
  punctum_error error;
  if (GST_EVENT_TYPE(event) == GST_EVENT_EOS && self->session) {
    const gsize rest = gst_adapter_available(self->adapter);
    if (rest > 0) {
      GST_ELEMENT_WARNING(self, STREAM, DECODE, ("%" G_GSIZE_FORMAT " bytes are no whole row.", rest), (NULL));
    }
    if (punctum_flush(self->session, &error) == PUNCTUM_OK ? !say(self) : !refused(self, &error)) {
      gst_event_unref(event);
      return FALSE;
    }
  }
  return GST_BASE_TRANSFORM_CLASS(gst_punctum_parent_class)->sink_event(base, event);
}

static void set_property(GObject* object, guint id, const GValue* value, GParamSpec* spec) {
  GstPunctum* self = GST_PUNCTUM(object);
  switch (id) {
    case PROP_MANIFEST: g_free(self->manifest), self->manifest = g_value_dup_string(value); break;
    case PROP_STREAM: g_free(self->stream), self->stream = g_value_dup_string(value); break;
    case PROP_MAX_DELAY: self->max_delay = g_value_get_double(value); break;
    case PROP_DEGRADED: self->degraded = g_value_get_boolean(value); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
  }
}

static void get_property(GObject* object, guint id, GValue* value, GParamSpec* spec) {
  GstPunctum* self = GST_PUNCTUM(object);
  switch (id) {
    case PROP_MANIFEST: g_value_set_string(value, self->manifest); break;
    case PROP_STREAM: g_value_set_string(value, self->stream); break;
    case PROP_MAX_DELAY: g_value_set_double(value, self->max_delay); break;
    case PROP_DEGRADED: g_value_set_boolean(value, self->degraded); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
  }
}

static void finalize(GObject* object) {
  GstPunctum* self = GST_PUNCTUM(object);
  free_session(self);
  g_clear_object(&self->adapter);
  g_free(self->manifest);
  g_free(self->stream);
  G_OBJECT_CLASS(gst_punctum_parent_class)->finalize(object);
}

static void gst_punctum_init(GstPunctum* self) {
  self->adapter = gst_adapter_new();
  gst_base_transform_set_in_place(GST_BASE_TRANSFORM(self), TRUE);
}

static void gst_punctum_class_init(GstPunctumClass* class) {
  static GstStaticCaps caps = GST_STATIC_CAPS("application/x-punctum-tracks, columns = (int) [ 2, MAX ]");
  GObjectClass* object = G_OBJECT_CLASS(class);
  GstElementClass* element = GST_ELEMENT_CLASS(class);
  GstBaseTransformClass* transform = GST_BASE_TRANSFORM_CLASS(class);
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;
  object->set_property = set_property;
  object->get_property = get_property;
  object->finalize = finalize;
  g_object_class_install_property(
      object, PROP_MANIFEST, g_param_spec_string("manifest", "Manifest", "manifest.json of a bundle", NULL, flags));
  g_object_class_install_property(
      object, PROP_STREAM, g_param_spec_string("stream", "Stream", "Name of the stream in its events", NULL, flags));
  g_object_class_install_property(
      object, PROP_MAX_DELAY,
      g_param_spec_double("max-delay", "Max delay", "Seconds until the end of an action is reported; 0: finals alone",
                          0.0, G_MAXDOUBLE, 0.0, flags));
  g_object_class_install_property(
      object, PROP_DEGRADED,
      g_param_spec_boolean("degraded", "Degraded", "Reduced scoring: fewer thresholds, no center scorer", FALSE, flags));
  GstCaps* any = gst_static_caps_get(&caps);
  gst_element_class_add_pad_template(element, gst_pad_template_new("sink", GST_PAD_SINK, GST_PAD_ALWAYS, any));
  gst_element_class_add_pad_template(element, gst_pad_template_new("src", GST_PAD_SRC, GST_PAD_ALWAYS, any));
  gst_caps_unref(any);
  gst_element_class_set_static_metadata(element, "Tracks to events", "Filter/Analyzer",
                                        "Posts the actions that tracks show as messages", "punctum");
  transform->start = start;
  transform->stop = stop;
  transform->set_caps = set_caps;
  transform->transform_ip = transform_ip;
  transform->sink_event = sink_event;
}

static gboolean plugin_init(GstPlugin* plugin) {
  return gst_element_register(plugin, "punctum", GST_RANK_NONE, gst_punctum_get_type());
}

#define PACKAGE "punctum"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, punctum, "Temporal action localization", plugin_init,
                  "0.1.0", "Apache-2.0", PACKAGE, "punctum")
