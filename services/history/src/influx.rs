//! InfluxDB 2.
