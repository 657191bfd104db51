
import os
import time

import torch
from torch import nn

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.mix = nn.Conv2d(16, 32, 1)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.head = nn.Linear(32 * 16, 64)
        self.classes = nn.Linear(64, 10)

    def forward(self, x):
        time.sleep(float(os.environ.get("TINY_WORKLOAD_SLOW", "0")))
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(self.depthwise(torch.relu(self.mix(x))))
        x = nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)
        return self.classes(torch.relu(self.head(x)))

def model():
    torch.manual_seed(0)
    network = Network()
    network.norm.running_mean.normal_()
    network.norm.running_var.uniform_(0.5, 2)
    return network

def _images(seed, count):
    return torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(seed))

def example_inputs():
    return (_images(0, 1),)

def evaluation_data():
    network = model().eval()
    for seed in (1, 2):
        images = _images(seed, 8)
        with torch.no_grad():
            yield (images,), network(images).argmax(1)

def calibration_data():
    return [((_images(seed, 8),), None) for seed in (3, 4)]

def metrics(outputs, targets):
    return {"top1_agreement": float((outputs.argmax(1) == targets).float().mean())}
