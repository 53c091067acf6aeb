//! The few messages of `onnx.proto` that an explanation and a check need. Fields not named here are skipped when read.
//!
//! Field numbers are those of the ONNX standard (`onnx/onnx.proto`), which never reuses one.

use prost::Message;

/// A model file.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    /// The graph.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// What the trainer wrote beside it.
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<Property>,
}

/// A name and a text.
#[derive(Clone, PartialEq, Message)]
pub struct Property {
    /// Name.
    #[prost(string, optional, tag = "1")]
    pub key: Option<String>,
    /// Text.
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
}

/// The nodes, in an order in which they can be run.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    /// The nodes.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
}

/// One operator.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    /// What it reads.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// What it makes.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Which operator.
    #[prost(string, optional, tag = "4")]
    pub op_type: Option<String>,
    /// Its settings.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    /// Of which standard.
    #[prost(string, optional, tag = "7")]
    pub domain: Option<String>,
}

/// One setting of an operator.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    /// Its name.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// One whole number.
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// One text.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    /// Numbers. Written unpacked by some writers and packed by others; both are read.
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub floats: Vec<f32>,
    /// Whole numbers.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// Texts.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
}

impl ModelProto {
    /// The text of a property.
    #[must_use]
    pub fn property(&self, key: &str) -> Option<&str> {
        let found = self.metadata_props.iter().find(|p| p.key.as_deref() == Some(key));
        found.and_then(|p| p.value.as_deref())
    }

    /// Whether there is a node of this operator.
    #[must_use]
    pub fn has(&self, op_type: &str) -> bool {
        let nodes = self.graph.iter().flat_map(|g| &g.node);
        nodes.into_iter().any(|node| node.op_type() == op_type)
    }

    /// The only node of this operator; `None` when there is none or more than one.
    #[must_use]
    pub fn only(&self, op_type: &str) -> Option<&NodeProto> {
        let mut found = self
            .graph
            .iter()
            .flat_map(|g| &g.node)
            .filter(|n| n.op_type() == op_type);
        let first = found.next();
        first.filter(|_| found.next().is_none())
    }
}

impl NodeProto {
    /// A setting by its name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|a| a.name() == name)
    }
}
