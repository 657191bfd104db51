"""A network of two halves between which gradients can be cut, for tests of training."""

HALVES = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 24)
        self.decoder = nn.Linear(24, 6, bias=False)

    def forward(self, steps):
        hidden = torch.tanh(self.encoder(steps))
        return self.decoder(CUT)

def model():
    torch.manual_seed(0)
    return Network()

def example(generator, batch):
    return (torch.randn(batch, 8, generator=generator),)
"""
